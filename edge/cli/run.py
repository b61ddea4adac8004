"""``suasana run``: the kit's daemon."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge.types import EdgeError

if TYPE_CHECKING:
    from edge.settings import Settings


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command; nothing else is imported until it runs."""
    text = "the kit's daemon: read the room, publish its mood"
    parser = commands.add_parser("run", help=text, description=text)
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (systemd/kit.toml shows all of them)"
    )
    parser.add_argument(
        "--mode",
        choices=["class", "practice"],
        help="ask for class mode by name, or play the practice game only; as the settings may do too",
    )
    parser.add_argument("--camera", metavar="URI", help="instead of the settings' camera; none for no camera")
    parser.add_argument(
        "--microphone", metavar="URI", help="instead of the settings' microphone; none for none"
    )
    parser.add_argument(
        "--mqtt", metavar="URL", help="instead of the settings' broker: mqtt://[user@]host[:port]"
    )
    parser.add_argument("--kit", metavar="NAME", help="instead of the settings' kit name")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after N seconds")
    parser.add_argument("--jsonl", action="store_true", help="print every event too, one JSON object a line")
    parser.add_argument(
        "--check", action="store_true", help="only say whether it would start; touches no device"
    )
    # A draft of what the page changes, for --check.
    parser.add_argument("--changes", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    parser.set_defaults(run=run, level=logging.INFO)


def run(arguments: argparse.Namespace) -> int:
    """The daemon until SIGTERM, SIGINT, ``--seconds`` or the end of all sources."""
    from edge import vitals

    vitals.give_back_memory()  # before anything large is loaded
    from edge import daemon, settings, tuning
    from edge.kit import Kit, rehearse
    from edge.reload import Reload
    from edge.sinks import open_sink
    from edge.supervisor import leave, stop_after, stop_flag
    from edge.tuning import Tuned

    stop = stop_flag()
    reload = Reload(stop)  # before the settings are read: what is asked from now on has not been read yet
    wanted = _wanted(arguments)
    settings.check_mode(wanted)
    tuned = Tuned(wanted)
    if arguments.check:
        drafted = arguments.changes and tuning.over(wanted, tuning.read_changes(arguments.changes))
        rehearse(drafted or tuned.settings, stop=stop)
        return 0
    tuned.begin()
    try:
        kit = Kit(tuned.settings, stop=stop)
    except EdgeError as error:
        if not tuned.reject(str(error)):
            raise
        kit = Kit(tuned.settings, stop=stop)
    stop_after(stop, arguments.seconds)
    try:
        sinks = [kit.open_mqtt()]
        if arguments.jsonl:
            sinks.append(open_sink("jsonl:-", kit=wanted.kit_name))
        ended = daemon.run(kit, sinks, stop, reload=reload, tuned=tuned)
    except EdgeError:
        tuned.pause()  # no fault of what was changed
        raise
    finally:
        reload.close()
    tuned.pause()
    if reload.due:
        reload.begin_anew()
    return 0 if ended else leave(0)


def _wanted(arguments: argparse.Namespace) -> Settings:
    """The settings file, and over it what the command line says."""
    from edge import settings, sources

    wanted = settings.load(arguments.config) if arguments.config else settings.Settings()
    if arguments.mode:
        wanted = replace(wanted, mode=arguments.mode)
    if arguments.kit:
        wanted = replace(wanted, kit=arguments.kit)
    if arguments.camera:
        wanted = replace(wanted, camera=replace(wanted.camera, uri=sources.as_camera_uri(arguments.camera)))
    if arguments.microphone:
        microphone = replace(wanted.microphone, uri=sources.as_microphone_uri(arguments.microphone))
        wanted = replace(wanted, microphone=microphone)
    if arguments.mqtt:
        wanted = replace(wanted, mqtt=replace(wanted.mqtt, url=arguments.mqtt))
    return wanted
