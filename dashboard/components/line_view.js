// One line explained, for the pages that do: all of it as text, never as markup.

const LOUD_NATS = 8; // a surprise that gets the full colour: one chance in 3,000
const LISTED_TOKENS = 6; // the most surprising ones, listed with what was expected in their place
const LISTED_NATS = 2; // less than that is no surprise
const SHOWN_CHARS = 400; // of a line beside the one explained, which is shown whole

function section(title, ...content) {
  const made = element("section");
  made.append(element("h4", "", title), ...content);
  return made;
}

const STATE_WORDS = { flagged: "▲ flagged", muted: "▲ muted", normal: "● normal" };
const VERDICT_MARKS = { abnormal: "✖", normal: "✔", unsure: "?" };

function verdictMark(label, words) {
  const made = element("span", `verdict ${label}`, words ? `${VERDICT_MARKS[label]} ${words}` : VERDICT_MARKS[label]);
  made.title = `judged ${label}`;
  return made;
}

function heading(data) {
  const made = element("div", "heading");
  made.append(element("b", "", `Line ${whole(data.line_no)}`));
  made.append(element("span", `badge ${data.state}`, STATE_WORDS[data.state]));
  if (data.said?.label) made.append(verdictMark(data.said.label, `judged ${data.said.label}`));
  made.append(element("span", "score", `score ${data.score.toFixed(4)}`), element("span", "faint", data.standing));
  return made;
}

function said(data) {
  const made = element("div", "said faint", data.said.words);
  if (data.said.note) made.append(": ", element("q", "", data.said.note));
  return made;
}

function reasons(data) {
  const made = element("ul", "reasons");
  for (const reason of data.reasons) made.append(element("li", "", reason));
  return made;
}

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;

function expectation(token) {
  return token.expected === null ? "" : `; expected “${token.expected}” (${percent(token.share)})`;
}

// The most surprising ones, most surprising first.
function listed(tokens) {
  return tokens.filter((token) => token.nats !== null && token.nats >= LISTED_NATS)
    .sort((a, b) => b.nats - a.nats).slice(0, LISTED_TOKENS);
}

// WordPiece marks the inside of a word with "##"; such pieces stand close to the one before.
function tokens(data) {
  const made = element("div", "tokens mono");
  const reachable = new Set(listed(data.tokens)); // by Tab; the mouse reaches all
  data.tokens.forEach((token, i) => {
    const inside = token.text.startsWith("##");
    if (i > 0 && !inside) made.append(" ");
    const piece = element("span", "token", inside ? token.text.slice(2) : token.text);
    if (token.nats !== null) {
      piece.style.setProperty("--heat", `${Math.round(56 * Math.min(1, Math.max(0, token.nats / LOUD_NATS)))}%`);
      piece.dataset.tip = `surprise ${token.nats.toFixed(1)} nats${expectation(token)}`;
      if (token.nats >= LOUD_NATS) piece.classList.add("loud");
      if (reachable.has(token)) piece.tabIndex = 0;
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

function surprises(data) {
  const rows = listed(data.tokens);
  const made = element("table", "surprises");
  if (!rows.length) return made;
  const known = rows.some((token) => token.expected !== null);
  const cells = (tag, texts) => {
    const row = element("tr");
    texts.forEach((text, i) => row.append(element(tag, i % 2 ? "number" : "mono", text)));
    return row;
  };
  made.append(cells("th", ["Token", "Surprise", ...(known ? ["Expected there", "Probability"] : [])]));
  for (const token of rows) {
    const expected = known ? [token.expected ?? "", token.share === null ? "" : percent(token.share)] : [];
    made.append(cells("td", [token.text, token.nats.toFixed(1), ...expected]));
  }
  return made;
}

function contributions(data) {
  const made = element("div", "bars");
  made.append(element("span"), element("span"), element("span", "number faint", "Adds"), element("span", "number faint", "Own value"));
  const largest = Math.max(...data.contributions.map((item) => item.share), 1e-9);
  const adds = (item) => item.share >= 0.0005; // more than the 0.000 that would be shown
  for (const item of data.contributions.filter(adds).sort((a, b) => b.share - a.share)) {
    const bar = element("div", "track");
    const filled = element("div");
    filled.style.width = `${(100 * item.share) / largest}%`;
    bar.append(filled);
    bar.title = `adds ${item.share.toFixed(4)} to the score; its own value is ${item.calibrated.toFixed(3)} of 1`;
    const name = element("span", "scorer", item.scorer);
    name.title = item.sees;
    made.append(name, bar, element("span", "number", item.share.toFixed(3)),
      element("span", "number faint", item.calibrated.toFixed(2)));
  }
  const others = data.contributions.filter((item) => !adds(item));
  if (others.length) {
    const words = others.map((item) => `${item.scorer} ${item.calibrated.toFixed(2)}`).join(" · ");
    made.append(element("span", "others faint", `No part in it, own values: ${words}`));
  }
  return made;
}

// Words this line has and its nearest learnt message has not, and the reverse, stand out.
function compared(text, other, className) {
  const made = element("div", `mono compared ${className}`);
  const known = new Set(other.split(/\s+/));
  text.split(/\s+/).forEach((word, i) => {
    if (i > 0) made.append(" ");
    made.append(known.has(word) ? written(word) : element("mark", "", word));
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
    const gutter = element("span", "gutter");
    gutter.append(element("span", "number", whole(line.line_no)), element("span", "dot", line.flagged ? "▲" : ""));
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

function drawLine(root, data, open) {
  const parts = [heading(data)];
  if (data.said) parts.push(said(data));
  if (data.reasons.length) parts.push(reasons(data));
  if (data.tokens) parts.push(section("Tokens by surprise", tokens(data), tokenLegend(), surprises(data)));
  else parts.push(section("Normalized text", element("div", "mono tokens", data.normalized_text || "(blank line)")));
  parts.push(section("Lines before and after", context(data, open)));
  if (data.contributions.length) parts.push(section("What the score is made of", contributions(data)));
  if (data.nearest) parts.push(section("Nearest learnt message", nearest(data)));
  parts.push(section("As written", element("div", "mono tokens", data.raw)));
  if (data.fields.length) parts.push(fields(data));
  root.replaceChildren(...parts);
  scrollToMessage(root.querySelector(".context"), data.message_at);
}
