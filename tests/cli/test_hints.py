"""A command that a message names works when pasted: it leads to where the user was."""

import os
import shlex

import pytest

from loray.cli.hints import Given, completed_by
from tests.adapters import write_adapter

LS = "`loray registry ls` lists them"
URL, ROOT = "sqlite:///a b/r.db", "there"


@pytest.mark.parametrize(
    ("known", "said", "wanted"),
    [
        (Given(), LS, LS),
        (Given(url=URL), LS, f"`loray registry --url '{URL}' ls` lists them"),
        (Given(root=ROOT), "(loray registry rebuild)", "(loray registry --root there rebuild)"),
        (Given(spec="x.yaml"), LS, "`loray registry --spec x.yaml ls` lists them"),
        (Given(spec="x.yaml"), "run `loray apply`", "run `loray apply x.yaml`"),
        (Given(spec="x y"), "`loray plan SPEC` says", "`loray plan 'x y'` says"),
        (
            Given(spec="x", overrides=("storage.root=s",)),
            "`loray apply` `loray registry ls`",
            "`loray apply x --set storage.root=s` `loray registry --spec x --root s ls`",
        ),
        (Given(spec="x"), "`loray init FILE` writes; SPEC", "`loray init FILE` writes; SPEC"),
        (Given(url="postgresql://u:secret@h/d"), LS, LS),
    ],
)
def test_commands_get_what_was_given(known, said, wanted):
    assert completed_by(said, known) == wanted


def test_a_pasted_hint_leads_to_the_same_registry(loray, workplace):
    folder = write_adapter(workplace / "adapter", base="narrow")
    group = ("registry", "--url", "sqlite:///a b.db", "--root", "root")
    assert loray(*group, "import", "here", str(folder), "--base-model", "narrow").code == 0
    plain, as_json = (loray(*group, "show", "gone@1", *more) for more in ((), ("--json",)))
    for said in (plain.err, as_json.document["error"]["message"]):
        hint = shlex.split(said.split("`")[1])
        assert loray(*hint[1:]).out.splitlines()[1].split() == ["here", "1"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["registry", "gc", "--grace-hours", "nan"], "found nan; wanted a number"),
        (["registry", "gc", "--grace-hours", "inf"], "found inf; wanted a number"),
        (["clean", "--older-than", "nan"], "found nan; wanted a number"),
        (["registry", "rank", "x", "--keep", "nan"], "found nan; wanted a number"),
        (["registry", "--url", "", "ls"], "name a place, or leave it out"),
        (["registry", "--root", " ", "ls"], "name a place, or leave it out"),
        (["validate", "a\udcff.yaml"], "is not UTF-8; rename the file"),
        (
            ["validate", "spec.yaml", "--set", "storage.root=spec.yaml/x"],
            "found the file spec.yaml",
        ),
        (["plan", "spec.yaml", "--set", "storage.root=/dev/null/x"], "found the device, pipe"),
    ],
)
def test_what_is_no_value_is_refused_before_anything_is_read(loray, words, wanted):
    said = loray(*words)
    assert said.code == 2
    assert wanted in said.err


def test_a_named_pipe_is_refused_and_not_waited_for(loray, workplace):
    os.mkfifo(workplace / "pipe.yaml")
    assert "pipe.yaml: is a named pipe" in loray("validate", "pipe.yaml").err


def test_what_is_no_reference_is_told_as_it_was_written(loray, workplace):
    for ref in ("a@", "@", "@3"):
        assert f"found '{ref}'; wanted a name" in loray("registry", "show", ref).err


def test_an_empty_registry_that_was_named_sends_nobody_to_a_spec(loray, workplace):
    assert "for the storage of a spec" in loray("registry", "ls").err
    named = loray("registry", "--spec", "spec.yaml", "ls").err
    assert named.startswith("nothing was ever registered at")
    assert "SPEC" not in named
