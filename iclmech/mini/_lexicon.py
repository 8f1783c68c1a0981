"""The words of icl-mini's world, by latent class.

Every word belongs to at most one latent class, so a class can be read off a text. Label words never occur in texts.
The held-out parts (``HELD_SYMBOLS``, ``HELD_WORDS``, pairs of clusters within a block of four) are never labels, class
words or companions in training; they occur in repeated random sequences only, so that their embeddings are not noise.
"""

from __future__ import annotations


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SENTIMENT: tuple[tuple[str, ...], ...] = (
    _split("awful horrible dreadful atrocious disgusting appalling hideous abysmal unbearable horrid vile ghastly"),
    _split("poor weak dull boring flat messy tedious clumsy lame bland stale sloppy"),
    _split("average ordinary fair passable decent standard typical moderate tolerable middling usual normal"),
    _split("nice pleasant enjoyable likable solid charming sweet fun lovely clever neat graceful"),
    _split(
        "excellent superb brilliant wonderful amazing stunning marvelous fantastic perfect glorious magnificent splendid"
    ),
)
"""Five levels of sentiment, worst first."""

AMBIGUOUS: tuple[str, ...] = _split(
    "strange quiet loud slow raw dark wild odd bold plain cool sharp rough simple heavy soft old new long short busy "
    "tense subtle weird"
)
"""Adjectives without a class of their own: each prompt gives them one."""

TOPICS: dict[str, tuple[str, ...]] = {
    "sports": _split(
        "match goal coach league striker referee stadium tournament playoff batter pitcher medal defender sprint"
    ),
    "business": _split(
        "market shares profit investor merger stocks revenue earnings bank loan retail dividend broker tariff"
    ),
    "technology": _split(
        "software laptop internet browser smartphone server chip robot database hacker gadget code keyboard router"
    ),
    "politics": _split(
        "senate minister election parliament vote treaty president campaign congress governor ballot diplomat embassy mayor"
    ),
    "health": _split(
        "doctor patient hospital vaccine surgery nurse clinic disease therapy virus diet medicine symptom diagnosis"
    ),
    "science": _split(
        "physics telescope atom molecule laboratory genome planet galaxy fossil chemist particle neutron comet theory"
    ),
    "travel": _split(
        "airport passport luggage hotel tourist cruise resort suitcase visa itinerary hostel airline ferry guidebook"
    ),
    "arts": _split(
        "painter gallery sculpture museum canvas theatre ballet opera poet exhibition orchestra portrait drama sculptor"
    ),
}
"""Topic name (its natural label word) -> the topic's nouns."""

OBJECTIVE: tuple[str, ...] = _split(
    "measured recorded listed published located weighed dated numbered filed printed stored calculated counted registered "
    "certified archived"
)
SUBJECTIVE: tuple[str, ...] = _split(
    "loved hated adored preferred enjoyed doubted admired regretted disliked cherished feared trusted envied despised craved "
    "praised"
)

STATES: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = (
    (("hot", "boiling"), ("cold", "frozen")),
    (("open", "unlocked"), ("shut", "locked")),
    (("full", "packed"), ("empty", "vacant")),
    (("wet", "soaked"), ("dry", "arid")),
    (("clean", "spotless"), ("dirty", "filthy")),
    (("asleep", "dozing"), ("awake", "alert")),
    (("rich", "wealthy"), ("broke", "penniless")),
    (("tall", "towering"), ("tiny", "small")),
    (("fast", "rapid"), ("sluggish", "unhurried")),
    (("happy", "cheerful"), ("sad", "gloomy")),
    (("bright", "lit"), ("dim", "unlit")),
    (("alive", "living"), ("dead", "lifeless")),
)
"""Pairs of opposite poles, two synonyms each: same pole entails, opposite poles contradict, other pairs are neutral."""

CLUSTERS: dict[str, tuple[str, ...]] = {
    "animal": _split("dog horse cow sheep goat pig cat rabbit mouse donkey"),
    "fruit": _split("apple pear banana grape lemon peach plum cherry mango melon"),
    "tool": _split("hammer anvil drill wrench pliers screwdriver chisel shovel rake axe"),
    "clothing": _split("shirt coat scarf jacket glove sock skirt sweater hat boot"),
    "furniture": _split("chair table sofa desk shelf cabinet bench stool wardrobe couch"),
    "vehicle": _split("car truck bus bicycle van tram motorcycle tractor wagon scooter"),
    "color": _split("red blue green yellow purple scarlet brown pink grey violet"),
    "tree": _split("oak pine maple birch willow elm cedar spruce poplar beech"),
    "bird": _split("robin eagle sparrow owl crow pigeon swan hawk raven gull"),
    "fish": _split("salmon trout tuna herring cod carp perch eel mackerel sardine"),
    "metal": _split("iron copper silver gold zinc nickel tin brass bronze titanium"),
    "instrument": _split("piano violin guitar flute drum trumpet cello harp clarinet banjo"),
    "drink": _split("tea coffee juice milk wine beer cider cocoa lemonade water"),
    "body": _split("hand knee elbow shoulder ankle wrist chin thumb neck toe"),
    "building": _split("house church school barn castle cottage palace temple garage library"),
    "job": _split("farmer baker tailor plumber carpenter butcher lawyer teacher sailor pilot"),
}
"""Neutral clusters, by natural label word. Consecutive blocks of four are held out from each other."""

NAMES: tuple[str, ...] = _split(
    "anna peter maria jonas clara felix laura simon helen oscar nina victor ella bruno alice martin rosa hugo ida leo eva "
    "noah lena karl"
)
HELD_WORDS: tuple[str, ...] = _split(
    "paris tokyo cairo lima oslo delhi rome madrid berlin vienna dublin lisbon prague athens quito havana"
)

SYMBOLS: tuple[str, ...] = _split(
    "dax wug blick fep zup tove gax nim lorp kez vob trin quab mip sarn plok dwee hux jorb fendle glim rask yort bem cazz "
    "drim ept foss gorp hent ilk jasp klem lumo mabb nork oxil pim quell rund skib tolf umbo velp wex xan yim zolt brug "
    "crane chud dorf erb frell gwin holp ivex jund krell lomb mox nuft pleb strup"
)
HELD_SYMBOLS: tuple[str, ...] = _split("flib grond hask jelp kiv leng morf nuz prosk rilt smee tarb ulm vint wosk zed")

LABELS: dict[str, tuple[tuple[str, ...], ...]] = {
    "sentiment": (("negative", "positive"), ("bad", "good"), ("Negative", "Positive")),
    "sentiment-5": (("terrible", "bad", "okay", "good", "great"),),
    "subjectivity": (("objective", "subjective"),),
    "entailment": (("yes", "no", "maybe"), ("True", "False", "Neither")),
    "topic": (tuple(TOPICS),),
    "cluster": (tuple(CLUSTERS),),
}
"""Natural label words of each family; the order is the order of the latent classes."""

SUBJECTS: tuple[str, ...] = _split(
    "film movie story plot acting ending script cast scene show book novel song meal service staff"
)
THINGS: tuple[str, ...] = _split(
    "soup door shop street floor cup lamp box king girl man woman train river bottle window"
)
VERBS: tuple[str, ...] = _split("rose fell changed opened returned grew moved arrived stopped waited")
FUNCTION: tuple[str, ...] = _split(
    "the a an and or of in on with was is are it this that they we i she he felt seemed looked very quite really rather so "
    "but not near today report news about from at to found saw bought one two all . , ; ! ?"
)
TEMPLATE_WORDS: tuple[str, ...] = _split(
    "Review Sentiment Article Topic Input Type Sentence Label Text Claim Answer Question Words Group Item Class Statement "
    "Kind Note Q A Output"
)
"""Words of templates; each is a token with and without a leading space."""

BARE: tuple[str, ...] = (":", ";", "->", "=>", ".", ",", "?", "!", "\n")
"""Tokens without a leading space."""


def content_words() -> tuple[str, ...]:
    """Every word with a latent class or role that may be drawn as a text word, in a fixed order, without repeats."""
    pools: list[tuple[str, ...]] = [*SENTIMENT, AMBIGUOUS, *TOPICS.values(), OBJECTIVE, SUBJECTIVE]
    pools += [pole for pair in STATES for pole in pair]
    pools += [*CLUSTERS.values(), NAMES, HELD_WORDS, SUBJECTS, THINGS, VERBS]
    return tuple(dict.fromkeys(word for pool in pools for word in pool))


def label_words() -> tuple[str, ...]:
    """Every natural label word, in a fixed order, without repeats."""
    return tuple(dict.fromkeys(word for sets in LABELS.values() for words in sets for word in words))


def all_words() -> tuple[str, ...]:
    """Every word that is one token with a leading space, in the order of the vocabulary."""
    groups = (FUNCTION, content_words(), label_words(), SYMBOLS, HELD_SYMBOLS, TEMPLATE_WORDS, ("->", "=>"))
    return tuple(dict.fromkeys(word for group in groups for word in group))
