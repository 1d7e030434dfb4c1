# SPDX-License-Identifier: MIT
"""The site: site.py BUILD FOLDER. Tutorials and other pages from docs/, the C reference from the public headers, the Python reference from
the package in BUILD, pictures of the examples where BUILD/pictures has them (examples/run.sh). Needs Debian's python3-markdown."""
import html
import importlib
import inspect
import re
import shutil
import sys
from pathlib import Path

import markdown

ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = ["first_solve", "train", "sdes", "gradients", "programs", "embedding", "a_method"]
PAGES = ["architecture", "glossary", "reliability", "performance", "work_precision/README", "peers/peers"]
COMMENT = re.compile(r"\s*/\*(.*?)\*/\n?", re.S)
DECLARED = re.compile(r"\b(nde_\w+)(?=\()|^(?:typedef )?(?:struct|enum) (nde_\w+)|\b(NDE_[A-Z0-9_]+) =|^#define (NDE_\w+)", re.M)
STYLE = """body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 0 auto; padding: 0 1em 4em; color: #222 }
nav { font-size: 85%; border-bottom: 1px solid #ccc; padding: .6em 0; margin-bottom: 1em } nav a { margin-right: .8em }
pre { background: #f6f6f4; padding: .7em; overflow-x: auto; font-size: 85% } code { background: #f6f6f4 }
table { border-collapse: collapse; display: block; overflow-x: auto } td, th { border: 1px solid #ddd; padding: .2em .6em; text-align: left }
h3 { margin-bottom: .2em } .says { white-space: pre-wrap; margin: .2em 0 .8em } img { max-width: 100% }"""


def fenced_source(text):
    """A block ```source FILE shows that file as it is."""
    def show(found):
        return f"```c\n{(ROOT/found[1]).read_text()}```"
    return re.sub(r"```source (\S+)\n```", show, text)


def rendered(text):
    """Markdown, whose links to other Markdown files become links to their pages."""
    body = markdown.markdown(fenced_source(text), extensions=["fenced_code", "tables", "toc"])
    return re.sub(r'href="(?!http)([^"#]*?)\.md(#[^"]*)?"', lambda m: f'href="{m[1]}.html{m[2] or ""}"', body)


class Site:
    def __init__(self, build, folder):
        self.build, self.folder, self.pages = Path(build), Path(folder), {}
        sys.path.insert(0, str(ROOT/"src/python"))
        sys.path.insert(0, str(self.build.resolve()/"src/python"))
        from headers import Headers
        self.headers = Headers(ROOT, self.build/"include/methods.h")
        self.places = {} # of each C name: the page and anchor

    def add(self, name, title, body):
        self.pages[name] = title, body

    def texts(self):
        readme = (ROOT/"README.md").read_text()
        self.add("index", "libnde", self.linked(rendered(readme)))
        for name in TUTORIALS:
            text = (ROOT/f"docs/tutorials/{name}.md").read_text()
            self.add(f"tutorials/{name}", text.split("\n")[0].strip("# "), rendered(text))
        for name in PAGES:
            text = (ROOT/f"docs/{name}.md").read_text()
            self.add(name, text.split("\n")[0].strip("# "), self.linked(rendered(text)))

    def linked(self, body):
        """Links of the repository: to the page where there is one, else the words alone."""
        def where(found):
            target = found[1].removeprefix("docs/")
            page = target.split("#")[0].removesuffix(".html")
            page = page + "/README" if page + "/README" in PAGES else page
            inside = page in PAGES or page.removeprefix("tutorials/") in TUTORIALS
            return found[0] if target.startswith(("http", "#")) else f'<a href="{page}.html">{found[2]}</a>' if inside else found[2]
        return re.sub(r'<a href="([^"]*)">(.*?)</a>', where, body, flags=re.S)

    # ---- C ----

    def c(self):
        """A page for each header: its comment, then each group of declarations with what stands above it."""
        alone = {f"nde/{name}.h": (self.build/f"include/nde/{name}.h").read_text() for name in ("inline", "formula")}
        chunks = {name: self.chunks(text) for name, text in {**self.headers.text, **alone}.items()}
        for name, parts in chunks.items():
            for _, code in parts:
                for found in DECLARED.findall(code):
                    self.places.setdefault(next(filter(None, found)), "c/" + Path(name).stem)
        for name, parts in chunks.items():
            body = [f"<h1>{name}</h1>", *(self.chunk(name, *part) for part in parts)]
            self.add("c/" + Path(name).stem, name, "\n".join(body))
        index = "".join(f'<li><a href="{Path(place).name}.html#{name}"><code>{name}</code></a></li>' for name, place in sorted(self.places.items()))
        self.add("c/index", "C: all names", f"<h1>All names</h1><ul>{index}</ul>")

    @staticmethod
    def chunks(text):
        """[(comment, code)], parted by empty lines outside of braces."""
        found = []
        for part in re.split(r"\n\s*\n", re.sub(r"\{[^{}]*\}", lambda m: m[0].replace("\n\n", "\n"), text)):
            head = COMMENT.match(part)
            comment, code = (head[1], part[head.end():]) if head else ("", part)
            comment = re.sub(r"^ \* ?", "", comment, flags=re.M).strip()
            code = re.sub(r"^#(include|ifndef NDE_\w+_H|ifdef __cplus|endif|undef).*\n?|^extern \"C\" \{\n?|^\}\n?$", "", code, flags=re.M).strip()
            if (comment or code) and "SPDX" not in comment[:5]:
                found.append((comment.replace("SPDX-License-Identifier: MIT\n", ""), code))
        return found

    def chunk(self, header, comment, code):
        names = [name for name in (next(filter(None, found)) for found in DECLARED.findall(code))
                 if self.places.get(name) == "c/" + Path(header).stem]
        marks = "".join(f'<a id="{name}"></a>' for name in dict.fromkeys(names))
        if rule := re.match(r"-+ (.*?) -+", comment):
            return f"<h2>{rule[1]}</h2>{marks}" + (f"<pre>{self.names(html.escape(code))}</pre>" if code else "")
        says = f'<div class="says">{self.names(html.escape(comment))}</div>' if comment else ""
        return marks + (f"<pre>{self.names(html.escape(code))}</pre>" if code else "") + says

    def names(self, text):
        """C names become links to where they are declared."""
        return re.sub(r"\b(nde_\w+|NDE_[A-Z0-9_]+)\b", lambda m: m[0] if m[0] not in self.places else
                      f'<a href="{Path(self.places[m[0]]).name}.html#{m[0]}">{m[0]}</a>', text)

    # ---- Python ----

    def python(self):
        import nde
        body = ["<h1>nde</h1>", f'<div class="says">{html.escape(inspect.getdoc(nde))}</div>']
        for name, thing in sorted(vars(nde).items()):
            if not name.startswith("_") and callable(thing) and getattr(thing, "__module__", "").startswith("nde"):
                body += self.documented("nde." + name, thing)
        body += ["<h2>Options</h2><table>", *(f"<tr><td><code>{name}</code></td><td>{html.escape(help)}</td></tr>"
                                             for name, help in nde.options().items()), "</table>"]
        body += ["<h2>Methods</h2><table><tr><th>name<th>order<th>error<th>source</tr>",
                 *(f"<tr><td><code>{name}</code></td><td>{m['order']}</td><td>{m['error_order'] or ''}</td><td>{html.escape(m['source'])}</td></tr>"
                   for name, m in nde.methods.items()), "</table>"]
        body += ["<h2>nde.ops</h2>", f'<div class="says">{html.escape(inspect.getdoc(nde.ops))}</div>']
        for name in sorted(nde.ops.__all__):
            body += self.documented("nde.ops." + name, getattr(nde.ops, name), "h4")
        for part in "nde.stiff", "nde.torch":
            body += self.imported(part)
        self.add("python", "Python reference", "\n".join(body))

    def imported(self, part):
        """A module that is imported only by name, if what it needs is here."""
        try:
            module = importlib.import_module(part)
        except ImportError:
            return
        yield f'<h2>{part}</h2><div class="says">{html.escape(inspect.getdoc(module))}</div>'
        for name in module.__all__:
            yield from self.documented(f"{part}.{name}", getattr(module, name), "h4")

    def documented(self, name, thing, level="h3"):
        try:
            signature = str(inspect.signature(thing))
        except (TypeError, ValueError):
            signature = ""
        yield f'<{level} id="{name}"><code>{name}{html.escape(signature)}</code></{level}>'
        yield f'<div class="says">{html.escape(inspect.getdoc(thing) or "")}</div>'
        if inspect.isclass(thing) and level == "h3":
            for member, value in vars(thing).items():
                if not member.startswith("_") and callable(value) and inspect.getdoc(value):
                    yield from self.documented(f"{name}.{member}", value, "h4")

    # ---- all of it ----

    def pictures(self):
        found = sorted((self.build/"pictures").glob("*.svg"))
        (self.folder/"pictures").mkdir(parents=True, exist_ok=True)
        for name in ("work_precision", "peers"):
            shutil.copytree(ROOT/"docs"/name, self.folder/name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.md", "*.json"))
        body = ["<h1>Pictures</h1><p>Made by the examples.</p>"]
        for file in found:
            shutil.copy(file, self.folder/"pictures")
            body.append(f'<h3><code>{file.stem}</code></h3><img src="pictures/{file.name}" alt="{file.stem}">')
        self.add("pictures", "Pictures", "\n".join(body))

    def write(self):
        for make in (self.c, self.texts, self.python, self.pictures):
            make()
        tutorials = [name for name in self.pages if name.startswith("tutorials/")]
        shown = ["index", *tutorials, "python", *(name for name in self.pages if name.startswith("c/")), "pictures", *PAGES]
        for name, (title, body) in self.pages.items():
            up = "../"*name.count("/")
            nav = "".join(f'<a href="{up}{other}.html">{html.escape(self.pages[other][0])}</a>' for other in shown)
            file = self.folder/f"{name}.html"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
                            f'<nav>{nav}</nav>{body}</html>\n')


if __name__ == "__main__":
    Site(*sys.argv[1:]).write()
