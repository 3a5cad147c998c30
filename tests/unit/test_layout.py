"""The package holds together: layers cover it, what is declared is used, recipes name files, the wheel is whole."""

from __future__ import annotations

import ast
import graphlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import grimp
import pytest
from packaging.specifiers import SpecifierSet

from alignment_prism.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "alignment_prism"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

DISTRIBUTIONS = {
    "vl_convert": "vl-convert-python",
    "argon2": "argon2-cffi",
    "yaml": "pyyaml",
    "inspect_ai": "inspect-ai",
    "huggingface_hub": "huggingface-hub",
}
"""Import name -> distribution, where they differ."""
LOADED_BY_OTHERS = {"openai", "python-multipart", "pg8000", "bitsandbytes"}
"""Not imported here: Inspect calls servers that speak as OpenAI's do with it, FastAPI reads forms, SQLAlchemy speaks to
PostgreSQL, transformers holds weights in four bits."""


def distributions(lines: list[str]) -> set[str]:
    return {re.split(r"[\s<>=;\[]", line)[0] for line in lines}


def packages() -> set[str]:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name[0] not in "._"}
    modules = {path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__"}
    return {f"alignment_prism.{name}" for name in folders | modules}


def test_every_package_has_its_layer() -> None:
    (layers,) = [one for one in PROJECT["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    assert layers["exhaustive"]
    named = [name for layer in layers["layers"] for name in layer.split(" | ")]
    assert sorted(named) == sorted(name.removeprefix("alignment_prism.") for name in packages())


def imported() -> set[str]:
    """Top-level names of everything that the sources import from elsewhere."""
    names = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"alignment_prism"}


def test_what_is_declared_is_imported_and_what_is_imported_is_declared() -> None:
    """Core dependencies and those of extras that users install are those that the sources import: no more, no less."""
    project = PROJECT["project"]
    extras = {
        name: distributions(lines)
        for name, lines in project["optional-dependencies"].items()
        if name not in ("dev", "docs")
    }
    declared = distributions(project["dependencies"]).union(*extras.values())
    wanted = {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in imported()}
    assert wanted | LOADED_BY_OTHERS == declared


def test_everything_declared_is_pinned() -> None:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            assert re.fullmatch(r"[A-Za-z0-9._-]+", name) and re.fullmatch(r"[A-Za-z0-9.]+", version), line
            pins[re.sub(r"[-_.]+", "-", name).lower()] = version
    assert (pins["torch"], pins["trl"]) == ("2.13.0", "1.16.0")
    extras = PROJECT["project"]["optional-dependencies"]["dev"]
    for line in [*PROJECT["project"]["dependencies"], *extras]:
        assert re.split(r"[\s<>=;\[]", line)[0].lower() in pins, line


def recipes() -> dict[str, tuple[str, str]]:
    """What to add -> the cells of its new files and of those that are changed."""
    text = (ROOT / "docs" / "design" / "0001-layout.md").read_text(encoding="utf-8")
    rows = text.partition("| to add | new | changed |\n|---|---|---|\n")[2].partition("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {what: (new, changed) for what, new, changed in cells}


def paths_in(cell: str) -> list[str]:
    return [path for path in re.findall(r"`([^`]+)`", cell) if re.search(r"[./]", path)]


def is_ours(path: str) -> bool:
    return not path.startswith("docs/") and "/" in path


def test_no_modules_import_each_other_in_a_circle_not_even_lazily() -> None:
    """The layers hold between packages; this holds within them. A module beside its package's `__init__` is none."""
    graph = grimp.build_graph("alignment_prism", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # CycleError names the circle


def test_every_pin_installs_on_the_oldest_python_that_is_promised() -> None:
    """Systems that are kept for years have the first releases of 3.11: Debian 12 has 3.11.2."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {re.sub(r"[-_.]+", "-", name).lower() for name in distributions(lines)}
    (oldest,) = re.findall(r"[\d.]+", PROJECT["project"]["requires-python"])
    known = {re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.metadata for one in metadata.distributions()}
    assert len(pinned & known.keys()) > 50, "the pinned packages are not installed"
    needs = {name: str(known[name]["Requires-Python"] or "") for name in pinned & known.keys()}
    assert [f"{name} {need}" for name, need in needs.items() if f"{oldest}.0" not in SpecifierSet(need)] == []


def test_there_are_twelve_recipes() -> None:
    assert len(recipes()) == 12


@pytest.mark.parametrize("what", recipes())
def test_a_recipe_names_files_that_are_there_and_no_more_than_three_packages(what: str) -> None:
    new, changed = (paths_in(cell) for cell in recipes()[what])
    assert changed, what
    for path in changed:
        assert ((SOURCE if is_ours(path) else ROOT) / path).is_file(), path
    for path in new:  # in a folder that is there, or in a package of its own
        assert path.endswith("/") or path.count("/") == 1 or (SOURCE / path).parent.is_dir(), path
    assert len({path.split("/")[0] for path in (*new, *changed) if is_ours(path)}) <= 3


def test_paths_in_the_rules_are_there() -> None:
    """CONTRIBUTING and the layout note send nobody to a file that has gone."""
    for name in ("CONTRIBUTING.md", "docs/design/0001-layout.md"):
        text = (ROOT / name).read_text(encoding="utf-8").partition("| to add |")[0]
        text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
        for path in re.findall(r"`([A-Za-z_0-9]+/[A-Za-z_0-9./]*)`", text):
            inside = [SOURCE / path, ROOT / path, *SOURCE.glob(f"*/{path}")]
            assert any(place.exists() for place in inside), f"{name}: {path}"


def test_scripts_beside_the_package_import_what_is_there() -> None:
    """Benchmarks and scripts of the docs run seldom, and no other test imports them."""
    absent = []
    for script in (*ROOT.glob("benchmarks/*.py"), *ROOT.glob("docs/**/*.py")):
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("alignment_prism"):
                place = SOURCE.parent.joinpath(*str(node.module).split("."))
                file = next(iter(place.glob("__init__.py")), place.with_suffix(".py"))
                there = _names(file) if file.is_file() else set()
                there |= {path.stem for path in place.glob("*")} if place.is_dir() else set()
                absent += [f"{script.name}: {node.module}.{one.name}" for one in node.names if one.name not in there]
    assert absent == []


def _names(file: Path) -> set[str]:
    """What a module defines or imports at its top, conditions included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {one.asname or one.name for one in node.names}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return found


def test_every_command_module_is_in_the_registry() -> None:
    defined = {
        f"alignment_prism.cli.{path.stem}:command"
        for path in (SOURCE / "cli").glob("*.py")
        if re.search(r"^def command\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert defined == {target for target, _ in COMMANDS.values()}


def test_modules_are_short_enough_to_read() -> None:
    limit = 400  # at 300 lines one asks whether a module has two concepts; above this it has
    long = {
        str(path.relative_to(SOURCE)): lines
        for path in SOURCE.rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > limit
    }
    assert not long, long


def test_packages_import_nothing_heavy() -> None:
    names = sorted(
        "alignment_prism." + ".".join(path.parent.relative_to(SOURCE).parts)
        for path in SOURCE.rglob("__init__.py")
        if path.parent != SOURCE
    )
    heavy = ("torch", "transformers", "trl", "inspect_ai", "pandas", "scipy", "pyarrow", "datasets")
    code = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
    found = [one for one in {heavy!r} if one in sys.modules]
    if found:
        sys.exit(f"{{name}} imports {{found}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_other_projects_paths_or_addresses_are_in_the_tree() -> None:
    private = re.compile(r"/(home|Users|root)/\w+|(?<!\w)/work/")
    for path in [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.yaml"), *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"),
                 ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "constraints.txt"]:  # fmt: skip
        assert not private.search(path.read_text(encoding="utf-8")), path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in the wheel that the checkout builds."""
    out = tmp_path_factory.mktemp("wheel")
    copy = out / "copy"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    junk = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
    shutil.copytree(ROOT / "src", copy / "src", ignore=junk)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), str(copy)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (file,) = out.glob("*.whl")
    return set(zipfile.ZipFile(file).namelist())


def test_the_wheel_has_every_data_file(wheel: set[str]) -> None:
    data = {
        path.relative_to(ROOT / "src").as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file()
        and path.suffix not in (".py", ".pyc")
        and not any(part.startswith((".", "__")) for part in path.parts)
    }
    assert data - wheel == set()
    for wanted in ("studies/presets/quickstart.yaml", "reports/templates/page.html.j2", "py.typed"):
        assert f"alignment_prism/{wanted}" in wheel


def test_the_wheel_has_every_module_and_its_entry_points(wheel: set[str]) -> None:
    modules = {path.relative_to(ROOT / "src").as_posix() for path in SOURCE.rglob("*.py")}
    assert modules - wheel == set()
    assert any(name.endswith("dist-info/entry_points.txt") for name in wheel)
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in wheel)
    assert not any(name.startswith("tests") for name in wheel)
