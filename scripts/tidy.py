#!/usr/bin/env python3
"""Runs clang-tidy on the sources, many in one go: most of its time goes into the headers, which all
of them share.

Usage: scripts/tidy.py [--deep]

Three quarters of what is left are the static analyser's, which by default follows each function
until it has been in 225,000 states. Every day it may have a fifteenth of them; with --deep, all.

Sources of one group are joined into one file. That is quicker, but not the measure: names in their
anonymous namespaces may collide there. So where a group has something to say, each of its sources
is looked at by itself, and what is said of those is printed and counts.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

PROJECT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = PROJECT / "src"
EVERYDAY_STATES = 15_000
# The same functions as linux.cpp has, which cannot stand in one file with it.
ON_POSIX = [SOURCES / "base" / name for name in ("posix.cpp", "plain_posix.cpp")]


def groups(sources):
    """As many as there are processors, of one size: the headers are read, and looked at, once for
    each."""
    count = os.cpu_count()
    by_size = sorted(sources, key=lambda source: source.stat().st_size)
    return [sorted(by_size[number::count]) for number in range(count)]


def command_of_all(commands, sources):
    """How main.cpp is compiled, which may include everything, with what the others have besides."""
    command = commands[SOURCES / "main.cpp"]
    words = command["command"].split()
    for source in sources:
        theirs = re.findall(r" (-D\S+|-I\S+|-isystem \S+)", commands[source]["command"])
        words[1:1] = [word for word in theirs if word not in words]
    return {**command, "command": " ".join(words)}


def join(number, sources, folder, command):
    """Writes the group's file, and gives how it would be compiled."""
    joined = folder / f"group_{number}.cpp"
    joined.write_text("".join(f'#line 1 "{source}"\n{source.read_text()}\n' for source in sources))
    # What shadows another source's name shadows nothing; within a source the compiler looks for it.
    compile_it = command["command"].replace(command["file"], str(joined)) + " -Wno-shadow"
    return {**command, "file": str(joined), "command": compile_it}


def compile_commands():
    """As `dev` compiles each source by itself; nothing is built."""
    folder = PROJECT / "build" / "each"
    subprocess.run(["cmake", "--preset", "dev", "-B", folder, "-DCMAKE_UNITY_BUILD=OFF"], check=True,
                   cwd=PROJECT, stdout=subprocess.DEVNULL)
    return json.loads((folder / "compile_commands.json").read_text())


def without_precompiled(command):
    """GCC's precompiled header says nothing to clang."""
    return {**command, "command": re.sub(r" -include \S*cmake_pch\.hxx", "", command["command"])}


def analyser_states(number):
    words = ["-Xclang", "-analyzer-config", "-Xclang", f"max-nodes={number}"]
    return [f"--extra-arg={word}" for word in words]


def complaints(folder, source, options):
    done = subprocess.run(["clang-tidy", "-p", folder, "--quiet", *options, source], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout if done.returncode == 0 else done.stdout or f"{source}: clang-tidy failed\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--deep", action="store_true")
    arguments = parser.parse_args()
    options = [] if arguments.deep else analyser_states(EVERYDAY_STATES)
    commands = {pathlib.Path(entry["file"]): without_precompiled(entry)
                for entry in compile_commands()}
    sources = sorted(path for path in commands if SOURCES in path.parents)
    command = command_of_all(commands, sources)
    folder = PROJECT / "build" / "tidy"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(PROJECT / ".clang-tidy", folder)
    parts = groups([source for source in sources if source not in ON_POSIX]) + [ON_POSIX]
    joined = [join(number, sources, folder, command) for number, sources in enumerate(parts)]
    (folder / "compile_commands.json").write_text(
        json.dumps(joined + [commands[source] for source in sources]))

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        heard = pool.map(lambda entry: complaints(folder, entry["file"], options), joined)
        again = []
        for sources, said in zip(parts, heard):
            if said:
                print(f"to be looked at one by one, {sources[0].name} to {sources[-1].name}: "
                      f"{said.splitlines()[0]}", file=sys.stderr)
                again += sources
        said = "".join(pool.map(lambda source: complaints(folder, source, options), again))
    print(said, end="")
    return 1 if said else 0


sys.exit(main())
