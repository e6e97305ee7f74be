const LOUD_NATS = 8; // a surprise that gets the full colour: one chance in 3,000
const SHOWN_CHARS = 400; // of a line beside the one explained, which is shown whole

function section(title, ...content) {
  const made = element("section");
  made.append(element("h4", "", title), ...content);
  return made;
}

function heading(data) {
  const made = element("div", "heading");
  made.append(element("b", "", `Line ${whole(data.line_no)}`));
  made.append(element("span", data.flagged ? "badge flagged" : "badge normal", data.flagged ? "▲ flagged" : "● normal"));
  made.append(element("span", "score", `score ${data.score.toFixed(4)}`), element("span", "faint", data.standing));
  return made;
}

function reasons(data) {
  const made = element("ul", "reasons");
  for (const reason of data.reasons) made.append(element("li", "", reason));
  return made;
}

// WordPiece marks the inside of a word with "##"; such pieces stand close to the one before.
function tokens(data) {
  const made = element("div", "tokens mono");
  data.tokens.forEach(([text, nats], i) => {
    const inside = text.startsWith("##");
    if (i > 0 && !inside) made.append(" ");
    const piece = element("span", "token", inside ? text.slice(2) : text);
    if (nats !== null) {
      piece.style.setProperty("--heat", `${Math.round(62 * Math.min(1, Math.max(0, nats / LOUD_NATS)))}%`);
      piece.title = `surprise ${nats.toFixed(1)} nats`;
      if (nats >= LOUD_NATS) piece.classList.add("loud");
    }
    made.append(piece);
  });
  return made;
}

function tokenLegend() {
  const made = element("div", "legend faint");
  made.append(element("span", "", "expected"), element("i"), element("span", "", "surprising; underlined above 8 nats"));
  return made;
}

function contributions(data) {
  const made = element("div", "bars");
  made.append(element("span"), element("span"), element("span", "number faint", "adds"), element("span", "number faint", "own value"));
  const largest = Math.max(...data.contributions.map((item) => item.share), 1e-9);
  for (const item of [...data.contributions].sort((a, b) => b.share - a.share)) {
    const bar = element("div", "track");
    const filled = element("div");
    filled.style.width = `${(100 * item.share) / largest}%`;
    bar.append(filled);
    bar.title = `adds ${item.share.toFixed(4)} to the score; its own value is ${item.calibrated.toFixed(3)} of 1`;
    made.append(element("span", "", item.scorer), bar, element("span", "number", item.share.toFixed(3)),
      element("span", "number faint", item.calibrated.toFixed(2)));
  }
  return made;
}

// Words this line has and its nearest learnt message has not, and the reverse, stand out.
function compared(text, other, className) {
  const made = element("div", `mono compared ${className}`);
  const known = new Set(other.split(/\s+/));
  text.split(/\s+/).forEach((word, i) => {
    if (i > 0) made.append(" ");
    made.append(known.has(word) ? word : element("mark", "", word));
  });
  return made;
}

function nearest(data) {
  const made = element("div", "pair");
  made.append(element("span", "faint", "this line"), compared(data.normalized_text, data.nearest, "here"),
    element("span", "faint", "nearest"), compared(data.nearest, data.normalized_text, "there"));
  return made;
}

function context(data, open) {
  const made = element("div", "context mono");
  for (const line of data.context) {
    const here = line.line_no === data.line_no;
    const row = element("button", here ? "here" : "");
    row.type = "button";
    row.title = `score ${line.score.toFixed(4)}`;
    const flagged = line.score >= data.threshold;
    const gutter = element("span", "gutter");
    gutter.append(element("span", "number", line.line_no), element("span", "dot", flagged ? "▲" : ""));
    row.append(gutter, element("span", "raw", line.raw.slice(0, SHOWN_CHARS) || " "));
    if (here) row.setAttribute("aria-current", "true"); else row.onclick = () => open(line.line_no);
    made.append(row);
  }
  return made;
}

function fields(data) {
  const made = element("dl");
  for (const [name, value] of data.fields) made.append(element("dt", "faint", name), element("dd", "mono", value));
  return made;
}

// Long headers are scrolled out of sight, so that the rows begin with their messages.
function scrollToMessage(rows, messageAt) {
  const raw = rows.querySelector(".here .raw");
  rows.scrollLeft = raw ? (raw.offsetWidth / Math.max(1, raw.textContent.length)) * messageAt : 0; // one width for every letter
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".detail");
  applyMarks(root);
  const parts = [heading(data)];
  if (data.reasons.length) parts.push(reasons(data));
  if (data.tokens) parts.push(section("Tokens by surprise", tokens(data), tokenLegend()));
  else parts.push(section("Normalized text", element("div", "mono tokens", data.normalized_text || "(blank line)")));
  parts.push(section("Lines before and after", context(data, (lineNo) => setTriggerValue("opened", lineNo))));
  if (data.contributions.length) parts.push(section("What the score is made of", contributions(data)));
  if (data.nearest) parts.push(section("Nearest learnt message", nearest(data)));
  parts.push(section("As written", element("div", "mono tokens", data.raw)));
  if (data.fields.length) parts.push(fields(data));
  root.replaceChildren(...parts);
  scrollToMessage(root.querySelector(".context"), data.message_at);
}
