"""The pages of the experiments on how in-context learning forms."""

from __future__ import annotations

from iclmech._base import Result

from .._page import Caption, Page, name_of

_ONE_BY_ONE = "Runs are shown one by one; brackets: 95 % intervals of the mean, a bootstrap over seeds, or the range where it is said."


def _page(figure: str, caption: Caption) -> Page:
    def question(result: Result) -> str:
        return f"{getattr(result.experiment, 'title', '')} World: {name_of(result, 'task') or 'none'}."

    return Page(question=question, captions=lambda result: {figure: caption}, small_print=_ONE_BY_ONE)


TRAIN = _page("formation", Caption(
    "How in-context learning formed",
    "Line charts over training steps: accuracy by test set with dotted lines for guessing, attention of heads and probability on the context's labels; below, dots for the step at which each had risen half-way.",
    "What stands further to the left in the last panel came first. A plateau at the upper dotted line is guessing among the labels of the context.",
))  # fmt: skip
CLAMPED = _page("clamps", Caption(
    "Losses under clamps",
    "Line chart of the loss over training steps for each clamp; below, dots for the step at which each run got below the level.",
    "A part whose clamp saves many steps is a part that learning waits for.",
))  # fmt: skip
PHASE_DIAGRAM = _page("phase_diagram", Caption(
    "Memory or context",
    "Panels of dots, one for each seed: accuracy in context, with flipped labels and from the weights over the first axis of the grid.",
    "Where dots of one kind lie far apart, the same data end in either phase.",
))  # fmt: skip
FORGETTING = _page("forgetting", Caption(
    "Forgetting, and what it leaves",
    "Line charts over training steps, one panel for each condition: accuracy on tokens never trained, with flipped labels, and from the weights.",
    "Behind a grey line, what was learned in context is kept for a while, and memory grows.",
))  # fmt: skip
NUMBER_OF_TASKS = _page("tasks", Caption(
    "Seen and new tasks",
    "Dots for each seed: accuracy on new tasks, and of memory, over the number of tasks in training.",
    "Memory is measured on seen tasks whose labels in the context are one further.",
))  # fmt: skip
PROGRESS_MEASURES = _page("progress", Caption(
    "How far each part has come",
    "Line chart over training steps: loss of the net as it is, and with all but one part of the circuit given.",
    "A curve that falls before that of the net as it is: a part that is there before the whole. One that lies above it: the given pattern takes away what the head does as yet.",
))  # fmt: skip
THREE_FACTOR = _page("factors", Caption(
    "Three factors learned together",
    "Line chart of the loss over steps of gradient descent, with none, one and two factors given.",
    "A product of parts is learned late and abruptly; with parts given, at once.",
))  # fmt: skip
SIMILARITY_OVER_TRAINING = _page("likeness", Caption(
    "When learning in context looks like gradient descent",
    "Line charts over training steps: accuracy in context, zero-shot and after the updates; SimAOU of the updates, dotted that of a random change with the same effect; and what the right labels add to it.",
    "Likeness is the distance between a line and the dotted one of its colour; likeness in what the labels say is the last panel alone, whose null is 0.",
))  # fmt: skip
HIDDEN_LEAD = _page("elicited", Caption(
    "There before it shows",
    "Line chart over training steps: accuracy of the nets as they are and with parts of the circuit given; below, dots for the step at which each run first reached the level, open where attention was drawn at random.",
    "A dot to the left of that of the net as it is: the ability was there, but for the part that was given. If it stands at the first step, the given part does the task by itself.",
))  # fmt: skip
SUPPORTIVE = _page("on_top", Caption(
    "Which training sequences support learning in context",
    "Dots for each seed: how far the loss fell in context and zero-shot after training on each set; below, bars for the parts of the training that the sets are made of.",
    "The supportive set should stand above the random one and the one matched in gradient norm, in context more than zero-shot.",
))  # fmt: skip
