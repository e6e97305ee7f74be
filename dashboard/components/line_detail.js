export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".detail");
  applyMarks(root);
  drawLine(root, data, (lineNo) => setTriggerValue("opened", lineNo));
}
