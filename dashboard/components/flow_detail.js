// A flow: which packets went which way, what their headers say, and their bytes, shaded by surprise.

const BYTES_A_ROW = 16;

function flowHeading(data) {
  const made = element("div", "heading");
  made.append(element("b", "", `Flow ${whole(data.flow_no)}`));
  made.append(element("span", data.flagged ? "badge flagged" : "badge normal", data.flagged ? "▲ flagged" : "● normal"));
  if (data.said?.label) made.append(verdictMark(data.said.label, `judged ${data.said.label}`));
  made.append(element("span", "score", `score ${data.score.toFixed(4)}`), element("span", "faint", data.standing));
  return made;
}

function facts(data) {
  const made = element("div", "pair");
  for (const [name, value] of data.facts) made.append(element("span", "faint", name), element("span", "", value));
  return made;
}

const heat = (nats) => `${Math.round(56 * Math.min(1, Math.max(0, nats / LOUD_NATS)))}%`;

function fieldTable(packet) {
  const made = element("table", "fields");
  const head = element("tr");
  for (const name of ["Field", "Value", "Surprise"]) head.append(element("th", "", name));
  made.append(head);
  let header = "";
  for (const field of packet.fields) {
    const row = element("tr");
    const name = element("td");
    if (field.header !== header) name.append(element("b", "", `${field.header} `));
    header = field.header;
    name.append(field.name);
    const value = element("td", "mono", field.value);
    if (field.hidden) value.append(element("span", "masked", " masked"));
    const nats = element("td", "number", field.nats === null ? "" : field.nats.toFixed(1));
    if (field.nats !== null) nats.style.setProperty("--heat", heat(field.nats));
    row.append(name, value, nats);
    made.append(row);
  }
  return made;
}

const printable = (code) => (code >= 32 && code < 127 ? String.fromCharCode(code) : "·");

// A row holds its bytes in hexadecimal and as text; what the model does not see is struck through in both.
function hexDump(packet) {
  const made = element("div", "hex mono");
  made.tabIndex = 0; // it scrolls where the page is narrow
  made.setAttribute("role", "group");
  made.setAttribute("aria-label", `Bytes of packet ${packet.number}`);
  const size = packet.data.length / 2;
  for (let start = 0; start < size; start += BYTES_A_ROW) {
    const row = element("div", "hexrow");
    row.append(element("span", "faint offset", start.toString(16).padStart(4, "0")));
    const bytes = element("span", "bytes"), text = element("span", "ascii");
    for (let at = start; at < Math.min(size, start + BYTES_A_ROW); at += 1) {
      const digits = packet.data.slice(2 * at, 2 * at + 2);
      const nats = packet.surprise[at];
      for (const [place, shown] of [[bytes, digits], [text, printable(parseInt(digits, 16))]]) {
        const cell = element("span", packet.hidden[at] ? "byte hidden" : nats === null ? "byte unread" : "byte", shown);
        if (nats !== null) {
          cell.style.setProperty("--heat", heat(nats));
          if (nats >= LOUD_NATS) cell.classList.add("loud");
          cell.title = `byte ${at}: surprise ${nats.toFixed(1)} nats`;
        } else {
          cell.title = `byte ${at}: ${packet.hidden[at] ? "masked, the model does not see it" : "not read by the model"}`;
        }
        place.append(cell);
      }
    }
    row.append(bytes, text);
    made.append(row);
  }
  return made;
}

function packetRow(packet, open) {
  const made = element("details", "packet");
  made.open = open;
  const known = packet.surprise.filter((nats) => nats !== null);
  const loudest = known.length ? Math.max(...known) : null;
  const summary = element("summary");
  const way = element("span", packet.forward ? "way forward" : "way back", packet.forward ? "→ from source" : "← back");
  summary.append(element("span", "number", packet.number), way, element("span", "number", `${packet.seconds.toFixed(6)} s`),
    element("span", "number", `${whole(packet.length)} B`));
  const nats = element("span", "number loudest", loudest === null ? "" : `${loudest.toFixed(1)} nats`);
  if (loudest !== null) nats.style.setProperty("--heat", heat(loudest));
  summary.append(nats);
  made.append(summary);
  const fill = () => { if (made.open && made.children.length === 1) made.append(fieldTable(packet), hexDump(packet)); };
  made.ontoggle = fill; // a packet's bytes are drawn when it is opened
  fill();
  return made;
}

function hexLegend(data) {
  const made = element("div", "legend faint");
  made.append(element("span", "", "expected"), element("i"), element("span", "", "surprising; underlined above 8 nats"));
  if (data.masked) made.append(element("span", "byte hidden", "ab"), element("span", "", "masked"));
  return made;
}

export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".flow");
  applyMarks(root);
  root.replaceChildren(flowHeading(data), ...(data.said ? [said(data)] : []), section("Why", reasons(data)), section("Facts", facts(data)));
  if (data.packets.length) {
    const loud = (packet) => Math.max(-1, ...packet.surprise.filter((nats) => nats !== null));
    const first = data.packets.reduce((a, b) => (loud(b) > loud(a) ? b : a));
    const list = element("div", "packets");
    list.append(...data.packets.map((packet) => packetRow(packet, packet === first)));
    root.append(section(data.packets.length === 1 ? "Its first packet" : `Its first ${data.packets.length} packets`, hexLegend(data), list));
  } else {
    root.append(section("Packets", element("p", "faint", "The packets of this flow were not kept.")));
  }
  root.append(section("What the score is made of", contributions(data)));
}
