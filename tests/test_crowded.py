"""More commands at once than a kit keeps: the newest are obeyed, the others are told so and counted."""

import json
import logging
import threading
from pathlib import Path

from edge.contract.commands import CROWDED, Command
from edge.desk import CROWD_EVERY_S, Desk
from edge.events import Health, from_json
from edge.kit import Kit
from tests.test_practice import Notes, daemon_settings

KEPT = 64


def test_commands_that_newer_ones_crowd_out_are_answered_counted_and_logged_once(
    tmp_path: Path, caplog
) -> None:
    notes, kit = Notes(), Kit(daemon_settings(tmp_path), stop=threading.Event())
    desk = Desk(kit, [notes], clock=lambda: 100.0)
    desk.begin()
    with caplog.at_level(logging.WARNING):
        for number in range(KEPT + 5):
            kit._take_command(Command("request/ping", json.dumps({"transaction": str(number)}).encode()))
        kit._take_command(Command("set/capture", b"off"))
        desk.tend(100.0)
        answers = {answer["transaction"]: answer for answer in notes.said("response/ping")}
        assert sorted(answers, key=int) == [str(number) for number in range(KEPT + 5)], "all are answered"
        assert [name for name, answer in answers.items() if not answer["ok"]] == list("012345"), "the oldest"
        assert answers["0"]["error"] == CROWDED
        assert kit.switches.now.capture == "off", "the newest counts"
        for _ in range(3 * KEPT):
            kit._take_command(Command("request/ping", b""))
        desk.tend(101.0)
    assert [record.message for record in caplog.records if "commands:" in record.message] == [
        "commands: 6 came faster than they are obeyed and were refused"
    ]
    desk.tend(101.0 + CROWD_EVERY_S)
    assert "commands: 128 came" in caplog.records[-1].message
    health = from_json(Health, [payload for leaf, payload in notes.told if leaf == "health"][-1])
    assert health.dropped_commands == 6 + 2 * KEPT
