import socket

import pytest

from dashboard.__main__ import main


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for option in (
        "--mqtt",
        "--host",
        "--port",
        "--data",
        "--retention-days",
        "--allow-host",
        "--demo",
        "--database",
        "--tls-cert",
        "SUASANA_MQTT_PASSWORD",
    ):
        assert option in told


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "x"],
        ["--port", "70000"],
        ["--retention-days", "0"],
        ["--retention-days", "nan"],
        ["--nonsense"],
    ],
)
def test_a_wrong_argument_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("url", ["nonsense", "mqtt://user:password@host", "mqtt://host:port"])
def test_a_bad_address_is_one_line(url, tmp_path, capsys):
    assert main(["--mqtt", url, "--port", "0", "--data", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "user:password" not in told


def test_a_taken_port_is_one_line(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port), "--data", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"dashboard: cannot listen on 127.0.0.1 port {port}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--demo", "--host", "0.0.0.0"], "--demo lets everybody in"),
        (["--tls-cert", "/nothing"], "--tls-cert and --tls-key: give both"),
        (["--tls-cert", "/nothing", "--tls-key", "/nothing"], "/nothing: cannot be read"),
        (["--database", "mysql://x"], "not a database's address"),
        (["--database", "postgresql://me:secret@127.0.0.1/x"], "a password does not belong in an address"),
    ],
)
def test_what_does_not_go_together_is_one_line(options, words, tmp_path, capsys):
    assert main(["--port", "0", "--data", str(tmp_path), *options]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert "secret" not in told


def test_an_unusable_data_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--port", "0", "--data", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
