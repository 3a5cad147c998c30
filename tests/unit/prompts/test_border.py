"""The border test: what is made of a prompt, what is left alone, and how an evaluation reads it."""

from collections import Counter

import pytest

from alignment_prism.cli import main as entry
from alignment_prism.domain import (
    Generation,
    InputError,
    Message,
    Outcome,
    Prompt,
    PromptKind,
    Role,
    Scope,
    Score,
    TransferQuantity,
    user,
)
from alignment_prism.evaluation import transfer_rows
from alignment_prism.io import read_records, write_records
from alignment_prism.prompts.border import border_prompts, read_borders
from alignment_prism.scoring.policies import Policies

LOCAL = Prompt("p", user("Say {it}."), "fr", PromptKind.HARMFUL, Scope.LOCAL, ("Profanity",), "s", "eval", "g",
               source="aya@1", metadata={"a": 1})  # fmt: skip
NEVER = Prompt("n", user("Water?"), "en", PromptKind.NEVER_HARMFUL)
OTHERS = [
    Prompt("x", user("?"), "en", PromptKind.HARMFUL, Scope.GLOBAL),
    Prompt("y", user("?!"), "en", PromptKind.GENERAL),
    Prompt("z", user("??"), "en", PromptKind.HARMFUL),
]


def test_a_local_prompt_is_harmful_at_home_and_foreign_abroad_with_all_else_the_source_s():
    made = list(border_prompts([LOCAL, *OTHERS]))
    assert [(p.id, p.kind.value) for p in made if p.metadata["country"] in ("FR", "US")] == [
        ("p@FR", "harmful"),
        ("p@US", "foreign_local"),
    ]
    assert Counter(p.kind for p in made) == {PromptKind.HARMFUL: 1, PromptKind.FOREIGN_LOCAL: 7}
    us = made[-1]
    assert us.text == "J'habite aux États-Unis. Say {it}."
    assert (us.language, us.scope, us.categories, us.split, us.source) == (
        "fr",
        "local",
        ("Profanity",),
        "eval",
        "aya@1",
    )
    assert (us.subset, us.group) == ("border-US", "g")
    assert {k: us.metadata[k] for k in ("a", "country", "home", "border_source", "border_subset")} == {
        "a": 1, "country": "US", "home": "FR", "border_source": "p", "border_subset": "s",
    }  # fmt: skip
    assert us.metadata["border"].startswith("border@1#")
    assert list(border_prompts([LOCAL])) == made  # the same every time
    # A judge that goes by policies goes by that of the country.
    assert Policies({"fr": "a", "country-US": "b", "default": "c"}).key(us) == "country-US"


def test_what_is_harmful_nowhere_is_asked_alike_and_stands_in_a_cluster_of_its_own():
    made = list(border_prompts([NEVER], countries=["IN", "FR"]))
    assert [(p.id, p.kind, p.group) for p in made] == [
        (f"n@{code}", PromptKind.NEVER_HARMFUL, "n") for code in ("FR", "IN", "US")
    ]
    assert made[0].text == "I live in France. Water?"


def test_the_first_turn_of_the_person_says_it_and_a_prompt_may_say_its_own_country():
    turns = (Message(Role.SYSTEM, "S"), Message(Role.USER, "A"), Message(Role.ASSISTANT, "B"), Message(Role.USER, "C"))
    talk = Prompt("t", turns, "es", PromptKind.HARMFUL, Scope.LOCAL, metadata={"country": "ph"})
    made = {p.metadata["country"]: p for p in border_prompts([talk], countries=["ES"])}
    assert {code: p.kind.value for code, p in made.items()} == {"ES": "foreign_local", "PH": "harmful"}
    assert [m.content for m in made["PH"].messages] == ["S", "Vivo en Filipinas. A", "B", "C"]


def test_every_language_that_ships_names_every_country():
    templates = read_borders()
    countries = {template.home for template in templates.languages.values()}
    assert len(templates.languages) == len(countries) == 8
    for template in templates.languages.values():
        assert set(template.places) == countries
        assert len(set(template.places.values())) == 8


def test_what_no_template_says_is_an_error(tmp_path):
    odd = Prompt("q", user("?"), "xx", PromptKind.HARMFUL, Scope.LOCAL)
    with pytest.raises(InputError, match="no template for 'xx'"):
        list(border_prompts([odd]))
    with pytest.raises(InputError, match="does not name the country 'BR'"):
        list(border_prompts([LOCAL], countries=["BR"]))
    own = tmp_path / "own.yaml"
    text = "name: own\nversion: 2\nlanguages:\n  xx:\n    home: AA\n"
    text += '    text: "{place}: {prompt}"\n    places: {AA: a, BB: b}\n'
    own.write_text(text)
    assert [p.text for p in border_prompts([odd], read_borders(str(own)))] == ["a: ?", "b: ?"]
    own.write_text(text.replace("{place}: ", ""))
    with pytest.raises(InputError, match="place") as error:
        read_borders(str(own))
    assert "line 6" in str(error.value)


def test_command_and_evaluation(tmp_path, capsys):
    source, out = tmp_path / "mine.jsonl", tmp_path / "border.parquet"
    local = [Prompt(f"l{i}", user(f"secret {i}"), "en", PromptKind.HARMFUL, Scope.LOCAL) for i in range(20)]
    never = [Prompt(f"n{i}", user(f"water {i}"), "en", PromptKind.NEVER_HARMFUL) for i in range(20)]
    write_records(source, [*local, *never, *OTHERS], Prompt)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            entry.main(["prompts", "border", *map(str, arguments)])
        return ended.value.code or 0, *capsys.readouterr()

    code, said, _ = run(source, "--out", out, "--country", "in", "--country", "FR")
    assert code == 0 and "120 prompts from 40 of 43" in said and "secret" not in said
    prompts = read_records(out, Prompt)
    assert Counter(p.kind.value for p in prompts) == {"harmful": 20, "foreign_local": 40, "never_harmful": 60}
    assert run(source, "--out", out)[0] == 5  # it is there already
    write_records(tmp_path / "none.jsonl", OTHERS, Prompt)
    assert run(tmp_path / "none.jsonl", "--out", tmp_path / "none.parquet")[0] == 2

    # An arm that refuses all of India's, a quarter of France's, and one in twenty never-harmful prompts.
    generations, scores = [], []
    for arm in ("base", "arm"):
        for p in prompts:
            number = int(p.metadata["border_source"][1:])
            abroad = p.kind is PromptKind.FOREIGN_LOCAL and (p.metadata["country"] == "IN" or number < 5)
            refused = arm == "arm" and (abroad or (p.kind is PromptKind.NEVER_HARMFUL and number == 0))
            reply = Generation(p.id, arm, arm, f"{arm} {p.id}")
            outcome = Outcome.REFUSAL if refused else Outcome.SAFE_HELP
            generations.append(reply)
            scores.append(Score(p.id, reply.reply_digest, arm, "j", "outcome", outcome, rubric="r@1"))
    rows = transfer_rows(prompts, {-1: (generations, scores)}, {}, study="s")
    found = {row.prompts: row for row in rows if row.quantity is TransferQuantity.SPILL_OVER and row.language == "all"}
    # India 1 - 1/20, France 1/4 - 1/20, both (20 + 5) / 40 - 3 / 60; 20 sources abroad and 20 never-harmful ones.
    assert {name: round(row.estimate, 9) for name, row in found.items()} == {
        "foreign_local": 0.575,
        "foreign_local/border-FR": 0.2,
        "foreign_local/border-IN": 0.95,
    }
    assert found["foreign_local"].clusters == 40
