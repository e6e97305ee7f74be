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

export default function (component) {
  const root = component.parentElement.querySelector(".help");
  root.help ??= new KeyHelp(root);
  root.help.update(component.data);
  root.help.hear();
  return () => root.help.silence();
}
