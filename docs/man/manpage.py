#!/usr/bin/env python3
"""The manual page tidemark(1), made by help2man from what the program says of itself.

    docs/man/manpage.py BINARY PAGE

help2man reads `tidemark --help`; every command's own help becomes a section of an include file, so that the page knows
each command and option that the binary knows, and none else.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def said(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv)}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def commands(binary):
    """Names and summaries, in the order of the help."""
    return re.findall(r"^  ([a-z][a-z-]*) +(\S.*)$", said(binary, "--help"), re.M)


def roff(text):
    """Text as it is: backslashes, and dots and quotes at the beginning of a line, mean something to troff."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("…", "\\&...")
    return re.sub(r"^\.", r"\\&.", text, flags=re.M)


def paragraphs(text):
    """The prose of a help text. Lines that are indented are examples and stay as they are."""
    out, verbatim = [], False
    for line in text.strip("\n").split("\n"):
        indented = line.startswith("  ") or line.startswith("Example:")
        if indented != verbatim:
            out.append(".PP\n.nf" if indented else ".fi")
            verbatim = indented
        out.append(roff(line) if line.strip() else ".PP")
    if verbatim:
        out.append(".fi")
    joined = "\n".join(out)
    return re.sub(r"(?:^\.PP\n)+(?=\.PP)", "", joined, flags=re.M)


def section(binary, name, summary):
    help_text = said(binary, name, "--help")
    usage, _, rest = help_text.partition("\n")
    body, _, options = rest.partition("\nOptions:\n")
    lines = [f".SS tidemark {roff(name)}", roff(summary[0].upper() + summary[1:] + "."), ".PP", f".B {roff(usage.removeprefix('usage: '))}",
             ".PP", paragraphs(body)]
    for line in options.split("\n"):
        found = re.match(r"  (--[a-z-]+)(?: (\S+))? {2,}(\S.*)$", line) or re.match(r"  (--[a-z-]+)(?: (\S+))? (\S.*)$", line)
        if found:
            option, argument, text = found.groups()
            lines += [".TP", rf"\fB{roff(option)}\fR" + (rf" \fI{roff(argument)}\fR" if argument else ""), roff(text)]
        elif line.strip():
            lines.append(roff(line.strip()))
    return "\n".join(lines)


def main():
    binary, page = sys.argv[1], sys.argv[2]
    include = (HERE / "sections.h2m").read_text()
    include += "\n[COMMANDS]\n" + "\n".join(section(binary, *command) for command in commands(binary)) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "all.h2m").write_text(include)
        # What help2man asks: --help in the form it knows, and --version with the name first.
        version = said(binary, "version").split("\n", 1)[0].split()
        asked = folder / "tidemark"
        asked.write_text("#!/bin/sh\n"
                         f"[ \"$1\" = --version ] && {{ echo 'tidemark {version[1]}'; exit; }}\n"
                         "echo 'Usage: tidemark COMMAND [options]'\n")
        asked.chmod(0o755)
        said("help2man", "--no-info", "--section=1", "--locale=C", "--source", f"tidemark {version[1]}", "--manual=tidemark",
             "--name", "product-usage events in, churn-risk and expansion signals out", "--include", str(folder / "all.h2m"),
             "--output", page, str(asked))


if __name__ == "__main__":
    main()
