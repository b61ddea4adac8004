"""``suasana demo``: broker, kit and dashboard in one process tree."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge import numbers


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command; nothing else is imported until it runs."""
    text = "broker, kit and dashboard in one command, on a staged class or on your own camera"
    demo = commands.add_parser("demo", help=text, description=text)
    demo.add_argument(
        "--camera", metavar="URI", help="0, a device path or a source URI (default: a staged class)"
    )
    demo.add_argument("--microphone", metavar="URI", help="default, a device's name, a source URI or none")
    demo.add_argument(
        "--video", type=Path, metavar="FILE", help="replay this video, photo or folder of photos"
    )
    demo.add_argument("--audio", type=Path, metavar="FILE", help="replay this wav, flac or ogg")
    demo.add_argument(
        "--seconds", type=float, metavar="N", help="end after N seconds (default: Ctrl-C ends it)"
    )
    demo.add_argument("--port", type=numbers.port, help="of the dashboard (default: 8765, or a free one)")
    demo.add_argument("--mqtt-port", type=numbers.port, help="of the broker (default: 1883, or a free one)")
    demo.add_argument(
        "--min-people", type=int, metavar="N", help="smallest group to speak about (default: 5)"
    )
    demo.add_argument(
        "--mode", choices=["class", "practice"], default="class", help="practice: the game (default: class)"
    )
    demo.add_argument("--no-browser", action="store_true", help="do not open the dashboard in a browser")
    demo.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """See edge.demo."""
    from edge import demo

    return demo.run(
        demo.Wishes(
            camera=arguments.camera,
            microphone=arguments.microphone,
            video=arguments.video,
            audio=arguments.audio,
            seconds=arguments.seconds,
            port=arguments.port,
            mqtt_port=arguments.mqtt_port,
            min_people=arguments.min_people,
            browser=not arguments.no_browser,
            mode=arguments.mode,
        )
    )
