export default function (component) {
  const frame = component.parentElement.querySelector("iframe");
  if (frame.srcdoc !== component.data.html) frame.srcdoc = component.data.html; // set anew, it would scroll to its top
}
