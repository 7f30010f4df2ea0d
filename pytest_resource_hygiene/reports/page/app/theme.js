// Light or dark: as the system says, until somebody chooses.

const root = document.documentElement;
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
const STORED = "resource-hygiene-theme";

const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemIsDark.matches);

// Where a page may not store anything, the choice lasts as long as the page.
function stored(value) {
  try {
    if (value) localStorage.setItem(STORED, value);
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

function setUpTheme(changed) {
  const button = byId("theme");
  const show = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.title = `Switch to ${isDark() ? "light" : "dark"} colours`;
    changed();
  };
  const before = stored();
  if (before === "dark" || before === "light") root.dataset.theme = before;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    stored(root.dataset.theme);
    show();
  });
  systemIsDark.addEventListener("change", show);
  show();
}
