const BARS = { width: 168, height: 36 };

// Bars of one group: heights by the square root, so that one line beside a thousand is seen; the flagged part below.
function course(lines, flagged) {
  const { width, height } = BARS;
  const drawn = shape("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const step = width / lines.length, most = Math.sqrt(Math.max(1, ...lines));
  const bar = (count, i, side) => {
    if (!count) return;
    const tall = Math.max(2, (Math.sqrt(count) / most) * (height - 2));
    drawn.append(shape("rect", { class: side, x: i * step, y: height - 1 - tall, width: step - 1, height: tall }));
  };
  lines.forEach((count, i) => { bar(count, i, "normal"); bar(flagged[i], i, "flagged"); });
  drawn.append(shape("line", { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5 }));
  return drawn;
}

function card(item, pick) {
  const made = element("button", "card");
  made.type = "button";
  made.setAttribute("aria-pressed", String(item.picked));
  made.title = item.name;
  const numbers = element("span", "numbers");
  numbers.append(element("b", null, `▲ ${whole(item.n_flagged)}`), element("span", "faint", ` ${item.said}`));
  made.append(element("span", "mono name", item.name), course(item.lines, item.flagged), numbers);
  made.onclick = () => pick(item.picked ? null : item.id);
  return made;
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".multiples");
  const at = [...root.children].indexOf(root.getRootNode().activeElement);
  applyMarks(root);
  root.setAttribute("aria-label", data.label);
  root.replaceChildren(...data.items.map((item) => card(item, (id) => setTriggerValue("picked", { id }))));
  if (at >= 0) root.children[at]?.focus({ preventScroll: true }); // where the keyboard was
}
