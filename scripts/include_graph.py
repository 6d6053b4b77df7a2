#!/usr/bin/env python3
"""Prints which folder of src/ includes which, and fails at an include that src/folders.txt does not
allow, and at files that include each other in a circle.

Usage: scripts/include_graph.py [SRC]

A header and its source count as one file. What folders.txt tolerates `for now` is marked; what it
tolerates without need is an error as well, so that nothing stays tolerated once it is mended.
"""

import collections
import pathlib
import re
import sys

PROJECT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


class Table:
    """What folders.txt says."""

    def __init__(self, path):
        self.may_include = {}
        self.for_now = collections.defaultdict(set)
        self.circles = []
        self.errors = []
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                self.read(line)

    def read(self, line):
        name, _, rest = line.partition(":")
        words = rest.split()
        if name == "circle for now":
            self.circles.append(frozenset(words))
        elif name.endswith(" for now"):
            self.for_now[name.removesuffix(" for now")].update(words)
        else:
            self.errors += [f"folders.txt: {name} may not have {other}, which does not stand above it"
                            for other in words if other not in self.may_include]
            self.may_include[name] = set(words)

    def allows(self, folder, header):
        return folder == "." or folder_of(header) in {folder, *self.may_include.get(folder, ())}


def folder_of(file):
    return str(pathlib.PurePath(file).parent)


def module_of(file):
    return str(pathlib.PurePath(file).with_suffix(""))


def read_includes(src):
    files = sorted(path for path in src.rglob("*.[ch]pp"))
    return {str(path.relative_to(src)): INCLUDE.findall(path.read_text()) for path in files}


def reached_from(folder, includes):
    """Each header that a file of the folder takes in, however deep, and who names it."""
    reached = {}
    left = [file for file in includes if folder_of(file) == folder]
    while left:
        file = left.pop()
        for header in includes[file]:
            if header not in reached:
                reached[header] = file
                left.append(header)
    return reached


def circles_of(includes):
    """Sets of modules that reach each other."""
    arrows = collections.defaultdict(set)
    for file, headers in includes.items():
        arrows[module_of(file)].update(module_of(header) for header in headers)

    def reach(module):
        seen, left = set(), [module]
        while left:
            new = arrows[left.pop()] - seen
            seen |= new
            left += new
        return seen

    reach_of = {module: reach(module) for module in list(arrows)}
    return {frozenset(other for other in reach_of[module] if module in reach_of.get(other, ()))
            for module in reach_of
            if any(other != module and module in reach_of.get(other, ())
                   for other in reach_of[module])}


def main():
    src = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "src"
    table = Table(src / "folders.txt")
    includes = read_includes(src)
    errors = table.errors
    for file, headers in includes.items():
        errors += [f"{file}: there is no {header}" for header in headers if header not in includes]
    if errors:
        print("\n".join(errors))
        return 1

    folders = {folder_of(file) for file in includes}
    errors += [f"folders.txt: says nothing of {folder}"
               for folder in sorted(folders - {".", *table.may_include})]
    for folder in [*table.may_include, "."]:
        arrows = collections.defaultdict(list)
        for file in includes:
            if folder_of(file) == folder:
                for header in includes[file]:
                    if folder_of(header) != folder:
                        arrows[folder_of(header)].append((file, header))
        print(f"{'main.cpp' if folder == '.' else folder}")
        for other, pairs in sorted(arrows.items()):
            upwards = [pair for pair in pairs if not table.allows(folder, pair[1])]
            print(f"  -> {other} ({len(pairs)}){', UPWARDS:' if upwards else ''}")
            for file, header in upwards:
                tolerated = " (for now)" if header in table.for_now[folder] else ""
                print(f"       {file} -> {header}{tolerated}")
        against = {header: file for header, file in reached_from(folder, includes).items()
                   if not table.allows(folder, header)}
        errors += [f"{folder} may not include {header}: it does through {file}"
                   for header, file in sorted(against.items()) if header not in table.for_now[folder]]
        errors += [f"folders.txt: {folder} has no need of {header} any more; take it out"
                   for header in sorted(table.for_now[folder] - set(against))]

    for circle in sorted(circles_of(includes), key=sorted):
        tolerated = any(circle <= known for known in table.circles)
        print(f"circle{' (for now)' if tolerated else ''}: {' '.join(sorted(circle))}")
        if not tolerated:
            errors.append(f"these include each other: {' '.join(sorted(circle))}")
    for known in table.circles:
        if known not in circles_of(includes):
            errors.append(f"folders.txt: not the circle any more: {' '.join(sorted(known))}")
    print("\n".join(errors) or "no include upwards and no circle, but for what is marked")
    return 1 if errors else 0


sys.exit(main())
