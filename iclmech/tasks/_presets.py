"""Facts about published tasks, as a table. Label words go with label *names*: numbers differ between releases.

Source of templates, label words and learning rates: Deutch, Magar, Bar Natan, Dar, *In-context Learning and Gradient
Descent Revisited* (arXiv 2311.07772); `trec` is not among their tasks and follows the same pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ._tokens import EOS_SEPARATOR


@dataclass(frozen=True)
class Preset:
    """One published task.

    Attributes:
        template: with the fields that records must have.
        words: {label name: label word}, in the order of the label words; several names may share a word.
        description: one sentence.
        hub: repository on the Hugging Face hub.
        config, train, test: its configuration and splits.
        columns: {column on the hub: field of the template, or "label"}.
        lr: learning rate of the published runs, or None.
    """

    template: str
    words: dict[str, str]
    description: str
    hub: str
    config: str = "default"
    train: str = "train"
    test: str = "test"
    columns: dict[str, str] = field(default_factory=dict)
    lr: float | None = None


_POLARITY = {"negative": "Negative", "positive": "Positive", "neg": "Negative", "pos": "Positive"}

PRESETS: dict[str, Preset] = {
    "sst2": Preset(
        template="Sentence: {text} Label:",
        words=_POLARITY,
        description="Sentiment of sentences from film reviews, two classes (Socher et al. 2013).",
        hub="stanfordnlp/sst2",
        test="validation",
        columns={"sentence": "text"},
        lr=5e-4,
    ),
    "sst5": Preset(
        template="Sentence: {text} Label:",
        words={
            "terrible": "terrible",
            "bad": "bad",
            "okay": "neutral",
            "good": "good",
            "great": "great",
            "very negative": "terrible",
            "negative": "bad",
            "neutral": "neutral",
            "positive": "good",
            "very positive": "great",
        },
        description="Sentiment of sentences from film reviews, five classes (Socher et al. 2013).",
        hub="SetFit/sst5",
        columns={"label_text": "label_name"},
        lr=1.6e-4,
    ),
    "mr": Preset(
        template="Review: {text} Sentiment:",
        words=_POLARITY,
        description="Sentiment of film reviews, two classes (Pang and Lee 2005).",
        hub="cornell-movie-review-data/rotten_tomatoes",
        lr=3e-3,
    ),
    "subj": Preset(
        template="Input: {text} Type:",
        words={"objective": "objective", "subjective": "subjective"},
        description="Objective plot summaries against subjective reviews (Pang and Lee 2004).",
        hub="SetFit/subj",
        columns={"label_text": "label_name"},
        lr=3e-3,
    ),
    "agnews": Preset(
        template=(
            "Classify the news articles into the categories of World, Sports, Business, and Technology. "
            "Article: {text} Answer:"
        ),
        words={
            "world": "World",
            "sports": "Sports",
            "business": "Business",
            "technology": "Technology",
            "sci/tech": "Technology",
        },
        description="Topic of news articles, four classes (Zhang, Zhao and LeCun 2015).",
        hub="fancyzhx/ag_news",
        lr=0.2,
    ),
    "cb": Preset(
        template="{premise} Question: {hypothesis}. True, False, or Neither? Answer:",
        words={"entailment": "True", "contradiction": "False", "neutral": "Neither"},
        description="CommitmentBank: does the premise entail the hypothesis? Three classes (de Marneffe et al. 2019).",
        hub="aps/super_glue",
        config="cb",
        test="validation",
        lr=0.08,
    ),
    "trec": Preset(
        template="Question: {text} Type:",
        words={
            "description": "Description",
            "entity": "Entity",
            "expression": "Expression",
            "human": "Human",
            "location": "Location",
            "number": "Number",
            "desc": "Description",
            "enty": "Entity",
            "abbreviation": "Expression",
            "abbr": "Expression",
            "hum": "Human",
            "loc": "Location",
            "numeric": "Number",
            "num": "Number",
        },
        description="What a question asks for, six classes (Li and Roth 2002).",
        hub="CogComp/trec",
        columns={"coarse_label": "label"},
    ),
}

DEUTCH2024: MappingProxyType[str, Any] = MappingProxyType(
    {
        "source": "Deutch, Magar, Bar Natan, Dar 2024 (arXiv 2311.07772)",
        "tasks": ("sst2", "sst5", "mr", "subj", "agnews", "cb"),
        "k": 32,
        "seeds": 3,
        "separator": EOS_SEPARATOR,
        "loss": "all",
        "position": "label",
        "lr": MappingProxyType({name: preset.lr for name, preset in PRESETS.items() if preset.lr is not None}),
    }
)
"""The published protocol: tasks, k, seeds, separator, loss, recording position, learning rate by task."""
