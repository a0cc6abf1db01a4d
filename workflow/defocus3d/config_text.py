"""The text of a config file: what is wrong with it before any key is looked at."""

from pathlib import Path

import yaml

ADVICE = "; write `key: value`, one a line, keys of a section indented by spaces below it"


def problems(path) -> list[str]:
    """What the user has to mend, a text each: no YAML, no keys, or a key twice, of which only the last would count."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        root = yaml.compose(text, yaml.SafeLoader)
        yaml.safe_load(text)
    except FileNotFoundError:
        return [f"{path}: no such file in {Path().resolve()}; run where it is, or say where with --directory or --configfile"]
    except UnicodeDecodeError:
        return [f"{path}: is no text in UTF-8; save it as UTF-8 in your editor"]
    except OSError as error:
        return [f"{path}: cannot be read ({error.strerror}); name a text file"]
    except yaml.MarkedYAMLError as error:
        return [f"{path}, line {error.problem_mark.line + 1}: is no YAML ({error.problem}){ADVICE}"]
    except yaml.YAMLError as error:
        return [f"{path}: is no YAML ({' '.join(str(error).split())}){ADVICE}"]
    except ValueError as error:  # a date that does not exist, a number of thousands of digits
        return [f"{path}: has a value that YAML takes for a date or a number, but cannot read ({error}); correct it, or put it in quotes"]
    if root is None:
        return [f"{path}: is empty; write at least one key, such as `axial_range_um: auto`"]
    if not isinstance(root, yaml.MappingNode):
        return [f"{path}, line {root.start_mark.line + 1}: has no keys{ADVICE}"]
    twice = "is there already, in line {}; remove one of the two"
    return [f"{path}, line {line}: key `{key}` {twice.format(first)}" for key, line, first in _repeated(root)]


def _repeated(node: yaml.MappingNode, above: str = "", seen=()):
    """Keys that come again in one mapping, with their line and that of the first. `seen`: mappings around it, since an alias may loop."""
    lines = {}
    for key, value in node.value:
        name, line = f"{above}{key.value}", key.start_mark.line + 1
        if lines.setdefault(name, line) != line:
            yield name, line, lines[name]
        if isinstance(value, yaml.MappingNode) and value not in seen:
            yield from _repeated(value, f"{name}.", (*seen, node, value))
