"""Actors of the nano lab: judges, a teacher, a translator, made from the grammar and asked like any model."""

from alignment_prism.nano.actors.actor import ROLES, Actor, ActorName, facts_of
from alignment_prism.nano.actors.judge import DECLARED, ErringJudge, OracleJudge, Rates
from alignment_prism.nano.actors.registry import check_judge, open_actor
from alignment_prism.nano.actors.speaker import Speaker
from alignment_prism.nano.actors.teacher import Teacher
from alignment_prism.nano.actors.translator import Translator

__all__ = [
    "DECLARED",
    "ROLES",
    "Actor",
    "ActorName",
    "ErringJudge",
    "OracleJudge",
    "Rates",
    "Speaker",
    "Teacher",
    "Translator",
    "check_judge",
    "facts_of",
    "open_actor",
]
