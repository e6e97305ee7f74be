class KeyHelp {
  constructor(root) {
    this.root = root;
    this.dialog = root.querySelector("dialog");
    root.querySelector(".open").onclick = () => this.open();
    root.querySelector(".close").onclick = () => this.dialog.close();
    this.dialog.onclick = (event) => { if (event.target === this.dialog) this.dialog.close(); }; // beside it
    this.onKey = (event) => this.key(event);
  }

  update(data) { this.data = data; }

  open() {
    this.root.querySelector(".title").textContent = `Keys of the ${this.data.title} page`;
    this.root.querySelector(".lists").replaceChildren(...this.data.groups.flatMap(({ where, keys }) => {
      const list = element("dl");
      for (const { keys: names, does } of keys) {
        const term = element("dt");
        term.append(...names.map((name) => element("kbd", "", name)));
        list.append(term, element("dd", "", does));
      }
      return [element("h4", "", where), list];
    }));
    this.dialog.showModal();
  }

  key(event) {
    if (!this.root.isConnected) { this.silence(); return; }
    if (event.key !== "?" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
    event.preventDefault();
    if (this.dialog.open) this.dialog.close(); else this.open();
  }

  hear() { document.addEventListener("keydown", this.onKey); } // twice is once
  silence() { document.removeEventListener("keydown", this.onKey); }
}

// Streamlit makes an entry of the history of every change of the address, so that Back would go through them all. Here
// it goes to the page before: a page has one entry, and what is written right before another opens is that one's.
function keepOneEntryPerPage() {
  const { pushState, replaceState } = History.prototype;
  let before = location.href;
  history.pushState = (state, title, url) => {
    const here = new URL(location), there = new URL(url ?? "", here), left = new URL(before);
    if (there.pathname === here.pathname) {
      before = here.href;
      replaceState.call(history, state, title, url);
      return;
    }
    if (there.search === here.search && left.pathname === here.pathname) replaceState.call(history, state, title, left);
    pushState.call(history, state, title, url);
  };
}

export default function (component) {
  if (!Object.hasOwn(history, "pushState")) keepOneEntryPerPage();
  const root = component.parentElement.querySelector(".help");
  root.help ??= new KeyHelp(root);
  root.help.update(component.data);
  root.help.hear();
  return () => root.help.silence();
}
