"""Plugin look-up imports only the requested plugin."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from stbench import registry as module
from stbench.errors import UserError
from stbench.registry import Registry


def entries(monkeypatch: pytest.MonkeyPatch, *pairs: tuple[str, str]) -> None:
    found = [EntryPoint(name, value, "group") for name, value in pairs]
    monkeypatch.setattr(module, "entry_points", lambda group: found)


def test_lazy_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch, ("join", "os.path:join"), ("broken", "no_such_module_anywhere:x"))
    registry: Registry[object] = Registry("thing", "group")
    assert registry.names() == ["broken", "join"]
    assert registry.get("join") is __import__("os").path.join
    with pytest.raises(UserError, match=r"The thing 'broken' \(no_such_module_anywhere:x\) cannot be loaded"):
        registry.get("broken")


def test_unknown_name_suggests(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch, ("join", "os.path:join"))
    with pytest.raises(UserError, match=r"Unknown thing 'jion'\. Did you mean 'join'\? Known: join"):
        Registry("thing", "group").get("jion")


def test_two_packages_may_not_share_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch, ("x", "os.path:join"), ("y", "os.path:split"), ("x", "os.path:split"))
    registry: Registry[object] = Registry("thing", "group")
    assert registry.names() == ["x", "y"]
    assert registry.get("y") is __import__("os").path.split
    with pytest.raises(UserError, match=r"Two packages declare the thing 'x': os\.path:join and os\.path:split"):
        registry.get("x")


def test_a_plugin_that_ends_the_process_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaves_at_import.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    entries(monkeypatch, ("x", "leaves_at_import:x"))
    with pytest.raises(UserError, match=r"The thing 'x' .* cannot be loaded: SystemExit"):
        Registry("thing", "group").get("x")


def test_wrong_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(plugin: object) -> None:
        raise TypeError(f"expected a number, got {plugin!r}")

    entries(monkeypatch, ("x", "os.path:join"))
    with pytest.raises(UserError, match="cannot be loaded: TypeError: expected a number"):
        Registry("thing", "group", check).get("x")


def test_added_by_hand() -> None:
    registry: Registry[int] = Registry("number", "no.such.group")
    registry.add("one", 1)
    assert registry.get("one") == 1
    assert registry.names() == ["one"]
