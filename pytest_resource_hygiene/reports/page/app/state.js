// What is chosen, and its place in the address: a link shows a colleague the same view.

const DATA = JSON.parse(document.getElementById("data").textContent);
const GROUPS = DATA.groups;
const TIMELINE = DATA.timeline;
const MANY = ["kind", "severity"]; // of which several can be chosen
const ONE = ["module", "owner", "q", "finding", "axis"];

const byId = (id) => document.getElementById(id);

const state = { kind: new Set(), severity: new Set(), module: "", owner: "", q: "", finding: "", axis: "" };

// An address without "=" leads to a section, and says nothing of what is chosen.
function readAddress() {
  const text = location.hash.slice(1);
  if (text && !text.includes("=")) return;
  const words = new URLSearchParams(text);
  for (const name of MANY) state[name] = new Set((words.get(name) || "").split(",").filter(Boolean));
  for (const name of ONE) state[name] = words.get(name) || "";
}

function writeAddress() {
  const words = new URLSearchParams();
  for (const name of MANY) if (state[name].size) words.set(name, [...state[name]].join(","));
  for (const name of ONE) if (state[name]) words.set(name, state[name]);
  const text = words.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}
