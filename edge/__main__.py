"""The command line: ``suasana demo | run | replay | simulate | dashboard | models | devices | …``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge import __version__, numbers
from edge.bench import command as bench
from edge.events import Capture
from edge.pair import command as pair
from edge.site import command as site
from edge.types import EdgeError

COMMANDS_HELP = "`suasana COMMAND --help` tells the options of a command"
INSTALLED_HELP = "settings of the kit (default: /etc/suasana/kit.toml where there is one)"


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 2 after one line about what was wrong."""
    arguments = parse(argv)
    quiet = logging.INFO if arguments.run is run_command else logging.WARNING
    logging.basicConfig(
        level=logging.DEBUG if arguments.verbose else quiet, format="%(levelname)s %(message)s"
    )
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except EdgeError as error:
        print(f"suasana: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `| head` had enough
        return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Arguments, with the function to run as ``run``."""
    parser = argparse.ArgumentParser(
        prog="suasana",
        description="The mood of a room, read on the device and told over MQTT.",
        epilog=COMMANDS_HELP,
    )
    parser.add_argument("--version", action="version", version=f"suasana {__version__}")
    parser.add_argument("--verbose", action="store_true", help="tell more on standard error")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_run(commands)
    _add_replay(commands)
    _add_simulate(commands)
    _add_dashboard(commands)
    _add_models(commands)
    _add_devices(commands)
    _add_switch(commands)
    _add_practice(commands)
    _add_doctor(commands)
    bench.add(commands)
    site.add(commands)
    pair.add(commands)
    return parser.parse_args(argv)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
    demo.set_defaults(run=demo_command)


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "the kit's daemon: read the room, publish its mood"
    run = commands.add_parser("run", help=text, description=text)
    run.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (systemd/kit.toml shows all of them)"
    )
    run.add_argument(
        "--mode",
        choices=["class", "practice"],
        help="ask for class mode by name, or play the practice game only; as the settings may do too",
    )
    run.add_argument("--camera", metavar="URI", help="instead of the settings' camera; none for no camera")
    run.add_argument("--microphone", metavar="URI", help="instead of the settings' microphone; none for none")
    run.add_argument(
        "--mqtt", metavar="URL", help="instead of the settings' broker: mqtt://[user@]host[:port]"
    )
    run.add_argument("--kit", metavar="NAME", help="instead of the settings' kit name")
    run.add_argument("--seconds", type=float, metavar="N", help="end after N seconds")
    run.add_argument("--jsonl", action="store_true", help="print every event too, one JSON object a line")
    run.add_argument(
        "--check", action="store_true", help="only say whether it would start; touches no device"
    )
    run.add_argument("--changes", type=Path, metavar="FILE", help=argparse.SUPPRESS)  # a draft, with --check
    run.set_defaults(run=run_command)


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "read recordings as fast as possible and print the events; publishes nothing"
    replay = commands.add_parser("replay", help=text, description=text)
    replay.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a video, photo or folder, and/or a sound"
    )
    replay.add_argument(
        "--jsonl", action="store_true", help="one JSON event a line instead of a line for people"
    )
    replay.add_argument(
        "--config", type=Path, metavar="FILE", help="settings; sources and broker are not used"
    )
    replay.add_argument(
        "--min-people",
        type=int,
        metavar="N",
        help="smallest group to speak about (default: 0, for nothing leaves this terminal; a kit takes 5)",
    )
    replay.set_defaults(run=replay_command)


def _add_simulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "a load test: many kits without cameras in one process, with the real protocol and event code"
    simulate = commands.add_parser(
        "simulate",
        help=text,
        description=f"{text}. Prints a summary as JSON when it ends.",
        epilog="A school: suasana simulate --mqtt mqtt://broker.local. Storms: --kits 1000 --storm 20."
        " Exit code 1: events were dropped, or the broker had not acknowledged them all at the end.",
    )
    simulate.add_argument(
        "--mqtt",
        default="mqtt://127.0.0.1:1883",
        metavar="URL",
        help="mqtt[s]://[user@]host[:port] (%(default)s)",
    )
    simulate.add_argument(
        "--kits", type=numbers.count, default=30, metavar="N", help="how many (%(default)s)"
    )
    simulate.add_argument(
        "--rate",
        type=numbers.positive,
        default=0.2,
        metavar="R",
        help="windows per second and kit, which makes a window 1/R s long (%(default)s)",
    )
    simulate.add_argument(
        "--seconds",
        type=numbers.positive,
        default=60.0,
        metavar="S",
        help="after all have begun (%(default)g)",
    )
    simulate.add_argument(
        "--storm",
        type=numbers.positive,
        default=0.0,
        metavar="S",
        help="cut connections every S seconds; they come back",
    )
    simulate.add_argument(
        "--storm-part",
        type=numbers.part,
        default=1.0,
        metavar="P",
        help="of the kits, 0 to 1 (%(default)g: all)",
    )
    simulate.add_argument(
        "--connects",
        type=numbers.positive,
        default=200.0,
        metavar="C",
        help="kits that begin per second (%(default)g)",
    )
    simulate.add_argument(
        "--names", default="sim-{n}", metavar="PATTERN", help="{n} counts kits, {site} sites (%(default)s)"
    )
    simulate.add_argument(
        "--sites", type=numbers.count, default=1, metavar="M", help="sites for {site} (%(default)s)"
    )
    simulate.add_argument(
        "--first", type=int, default=0, metavar="N", help="number of the first kit (%(default)s)"
    )
    simulate.add_argument("--login", action="store_true", help="each kit's name is its MQTT user")
    simulate.add_argument("--password-file", type=Path, metavar="FILE", help="one password for all of them")
    simulate.add_argument("--ca-file", type=Path, metavar="FILE", help="certificate authority for mqtts://")
    simulate.add_argument(
        "--certificates", type=Path, metavar="DIR", help="the folder clients of a site, with one for each kit"
    )
    simulate.add_argument("--protocol", choices=["auto", "5", "3.1.1"], default="auto", help="of MQTT (auto)")
    simulate.add_argument(
        "--outbox", type=Path, metavar="DIR", help="keep outboxes on disk, as kits do (default: in memory)"
    )
    simulate.add_argument(
        "--ledger", type=Path, metavar="FILE", help="a JSON line for every event, made and acknowledged"
    )
    simulate.add_argument(
        "--steer",
        action="store_true",
        help="read orders from standard input, a line each: `rate R` or `storm`; their end is the load's",
    )
    simulate.add_argument(
        "--patience", type=numbers.positive, default=30.0, metavar="S", help="for the end (%(default)g)"
    )
    simulate.add_argument("--seed", type=int, default=1, help="of what happens in the classes (%(default)s)")
    simulate.add_argument("--quiet", action="store_true", help="no progress bar")
    simulate.set_defaults(run=simulate_command)


def _add_dashboard(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "the teacher's page on its own (python -m dashboard)"
    dashboard = commands.add_parser(
        "dashboard", help=text, description=text, add_help=False, prefix_chars="\0"
    )
    dashboard.add_argument("rest", nargs="*", help="what `python -m dashboard --help` tells")
    dashboard.set_defaults(run=dashboard_command)


def _add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "list, check, install or take back models; set up the weights of others"
    models = commands.add_parser("models", help=text, description=text)
    models.set_defaults(run=models_command, verb="list", config=None)
    verbs = models.add_subparsers(title="verbs", metavar="VERB")
    for verb, text in (
        ("list", "what is here, and what of it is in use"),
        ("verify", "load every file, judge every signature again"),
        ("fetch", "set up the weights of others"),
        ("install", "put a signed model package into use, on trial"),
        ("rollback", "return to the model before"),
    ):
        one = verbs.add_parser(verb, help=text, description=text)
        one.set_defaults(verb=verb)
        if verb != "fetch":
            one.add_argument("--config", type=Path, metavar="FILE", help=INSTALLED_HELP)
        if verb == "install":
            one.add_argument("source", metavar="FILE_OR_URL", help="of a package; http and https are fetched")
            one.add_argument("--force", action="store_true", help="take an older or a much slower model too")
        if verb == "rollback":
            one.add_argument("name", nargs="?", default="", metavar="NAME", help="of the model")


def _add_devices(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "cameras and microphones that can be opened here, with the URI for the settings"
    devices = commands.add_parser("devices", help=text, description=text)
    devices.add_argument("--json", action="store_true", help="for programs: a list of kind, name, uri")
    devices.set_defaults(run=devices_command)


def _add_switch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "switch camera, microphone or all capture of this machine's kit; without a name, show the switches"
    switch = commands.add_parser("switch", help=text, description=text)
    switch.add_argument("name", nargs="?", choices=["capture", "camera", "microphone"])
    switch.add_argument("value", nargs="?", choices=["on", "off"])
    switch.add_argument("--config", type=Path, metavar="FILE", help=INSTALLED_HELP)
    switch.set_defaults(run=switch_command)


def _add_practice(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "show what this machine's kit learned in the practice game, or forget it"
    practice = commands.add_parser("practice", help=text, description=text)
    practice.add_argument("what", nargs="?", choices=["forget"])
    practice.add_argument("--config", type=Path, metavar="FILE", help=INSTALLED_HELP)
    practice.set_defaults(run=practice_command)


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = (
        "look at every part of the kit and say what is wrong and what to do; exit code 1 if something failed"
    )
    doctor = commands.add_parser("doctor", help=text, description=text)
    doctor.add_argument("--config", type=Path, metavar="FILE", help=INSTALLED_HELP)
    doctor.add_argument("--json", action="store_true", help="for programs, with ids that stay the same")
    doctor.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE",
        help="also write a zip file for a helper, with nothing secret in it",
    )
    doctor.add_argument(
        "--language", choices=["id", "en"], help="id (bahasa Indonesia) or en; default: as $LANG says"
    )
    doctor.set_defaults(run=doctor_command)


def demo_command(arguments: argparse.Namespace) -> int:
    """See edge.demo."""
    from edge import demo  # noqa: PLC0415 -- each command pays for its own imports only

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


def run_command(arguments: argparse.Namespace) -> int:
    """The daemon until SIGTERM, SIGINT, ``--seconds`` or the end of all sources."""
    from edge import vitals  # noqa: PLC0415

    vitals.give_back_memory()  # before anything large is loaded
    from edge import daemon, settings, sources, tuning  # noqa: PLC0415
    from edge.kit import Kit, rehearse  # noqa: PLC0415
    from edge.reload import Reload  # noqa: PLC0415
    from edge.sinks import open_sink  # noqa: PLC0415
    from edge.supervisor import leave, stop_after, stop_flag  # noqa: PLC0415
    from edge.tuning import Tuned  # noqa: PLC0415

    stop = stop_flag()
    reload = Reload(stop)  # before the settings are read: what is asked from now on has not been read yet
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


def replay_command(arguments: argparse.Namespace) -> int:
    """Print the events of recordings."""
    from edge import offline, settings  # noqa: PLC0415
    from edge.sinks import open_sink  # noqa: PLC0415

    wanted = settings.load(arguments.config) if arguments.config else settings.Settings()
    wanted = replace(wanted, mood=replace(wanted.mood, min_people=arguments.min_people or 0))
    with open_sink("jsonl:-" if arguments.jsonl else "console:", kit="replay") as sink:
        for event in offline.replay(wanted, arguments.files):
            sink.publish(event)
    return 0


def simulate_command(arguments: argparse.Namespace) -> int:
    """See edge.simulation."""
    from edge.simulation import run as simulation  # noqa: PLC0415
    from edge.sinks import Access  # noqa: PLC0415
    from edge.supervisor import stop_flag  # noqa: PLC0415

    try:
        password = arguments.password_file.read_text("utf-8").strip() if arguments.password_file else ""
        return simulation.run(
            simulation.Wishes(
                url=arguments.mqtt,
                kits=arguments.kits,
                rate=arguments.rate,
                seconds=arguments.seconds,
                storm_every_s=arguments.storm,
                storm_part=arguments.storm_part,
                connects_per_s=arguments.connects,
                pattern=arguments.names,
                sites=arguments.sites,
                first=arguments.first,
                login=arguments.login,
                access=Access(password, str(arguments.ca_file or ""), arguments.protocol),
                certificates=arguments.certificates,
                outbox=arguments.outbox,
                ledger=arguments.ledger,
                patience_s=arguments.patience,
                seed=arguments.seed,
                quiet=arguments.quiet,
                orders=sys.stdin if arguments.steer else None,
            ),
            stop_flag(),
        )
    except OSError as error:
        raise EdgeError(str(error)) from error


def dashboard_command(arguments: argparse.Namespace) -> int:
    """Hand over to the dashboard's own command line; edge does not import it."""
    return subprocess.run([sys.executable, "-m", "dashboard", *arguments.rest], check=False).returncode  # noqa: S603


def models_command(arguments: argparse.Namespace) -> int:
    """See edge.models.catalogue; ``fetch`` gets the weights of others."""
    from edge import remote  # noqa: PLC0415
    from edge.models import catalogue, weights  # noqa: PLC0415

    if arguments.verb == "fetch":
        weights.fetch(told=print)
        return 0
    wanted = remote.settings_of(arguments.config)
    if arguments.verb == "install":
        lines = catalogue.install_model(
            wanted, arguments.source, force=arguments.force, progress=_bar, told=print
        )
    elif arguments.verb == "rollback":
        lines = catalogue.roll_back(wanted, arguments.name)
    else:
        lines = {"list": catalogue.list_models, "verify": catalogue.verify}[arguments.verb](wanted)
    for line in lines:
        print(line)
    return 0


def devices_command(arguments: argparse.Namespace) -> int:
    """List what is plugged in, under names that survive a replug."""
    from edge.sources import cameras_here, microphones_here  # noqa: PLC0415

    found = [("camera", device) for device in cameras_here()]
    found += [("microphone", device) for device in microphones_here()]
    if arguments.json:
        print(json.dumps([{"kind": kind, "name": device.name, "uri": device.uri} for kind, device in found]))
        return 0
    for kind, device in found:
        print(f"{kind:<11} {device.name:<40} {device.uri}")
    for kind, advice in (
        ("camera", "plug one in, or see whether this user is in the group video"),
        ("microphone", "plug one in, install PyAudio, or see whether this user is in the group audio"),
    ):
        if kind not in dict(found):
            print(f"no {kind} found: {advice}", file=sys.stderr)
    return 0


def switch_command(arguments: argparse.Namespace) -> int:
    """Flip or show the switches; 1 when a device that was switched off is still open."""
    from edge import remote  # noqa: PLC0415

    if arguments.name and not arguments.value:
        raise EdgeError(f"switch {arguments.name}: say on or off")
    wanted = remote.settings_of(arguments.config)
    if not arguments.name:
        _print_switches(remote.current(wanted))
        return 0
    outcome = remote.switch(wanted, arguments.name, arguments.value)
    _print_switches(outcome.capture)
    if outcome.how == "file":
        print(f"Kept for the kit, which looks for it while it runs. It did not answer: {outcome.why}.")
    for source in outcome.still_open:
        print(f"suasana: the {source} is not closed yet; `suasana doctor` tells more", file=sys.stderr)
    return 1 if outcome.still_open else 0


def practice_command(arguments: argparse.Namespace) -> int:
    """Show or forget what was learned."""
    from edge import remote  # noqa: PLC0415

    wanted = remote.settings_of(arguments.config)
    if arguments.what == "forget":
        outcome = remote.forget(wanted)
        print("Forgotten." if outcome.found else "Nothing was learned.")
        if outcome.why:
            print(f"No kit answered: {outcome.why}. One that runs looks at the file and forgets too.")
        return 0
    heads = remote.learned(wanted)
    for sense, head in heads.items():
        print(f"{sense:<6} {head.model}, {head.rounds} rounds, {head.made}")
        print("       " + ", ".join(f"{label} {value:+.2f}" for label, value in head.offsets.items()))
    if not heads:
        print("Nothing was learned.")
    return 0


def _print_switches(capture: Capture) -> None:
    for name in ("capture", "camera", "microphone"):
        print(f"{name:<11} {getattr(capture, name)}")


def _bar(done: int, whole: int) -> None:
    """How far a download is, on a terminal."""
    if not sys.stderr.isatty():
        return
    if whole:
        filled = 30 * done // whole
        text = f"[{'#' * filled}{'.' * (30 - filled)}] {done / 1e6:.1f} of {whole / 1e6:.1f} MB"
    else:
        text = f"{done / 1e6:.1f} MB"
    print(f"\r{text}", end="\n" if done == whole else "", file=sys.stderr, flush=True)


def doctor_command(arguments: argparse.Namespace) -> int:
    """Print what is found as it is found; 1 when something failed."""
    from edge import bundle, doctor, remote  # noqa: PLC0415

    if arguments.bundle and arguments.bundle.exists():
        raise EdgeError(f"{arguments.bundle}: is there already")
    installed = remote.INSTALLED if remote.INSTALLED.exists() else None
    patient = doctor.admit(arguments.config or installed)
    region = patient.settings.region if patient.settings else ""
    language = arguments.language or doctor.choose_language(os.environ, region)
    table = doctor.terminal_table(language, is_terminal=sys.stdout.isatty())
    found = []
    for item in doctor.examine(patient):
        found.append(item)
        for line in () if arguments.json else table.lines(item):
            print(line, flush=True)
    report = doctor.report(found)
    print(report.to_json(language) if arguments.json else f"\n{table.summary(found)}")
    if arguments.bundle:
        bundle.write(arguments.bundle, report, patient, language)
        print(f"{arguments.bundle}", file=sys.stderr)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
