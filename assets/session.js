// A page left open outlives its session: say so in words, where otherwise nothing would happen any more.
(() => {
  const send = window.fetch.bind(window);
  const site = () => JSON.parse(document.getElementById("_dash-config").textContent).requests_pathname_prefix;
  const tell = () => {
    if (document.querySelector(".session-over")) return;
    const words = document.createElement("span");
    words.textContent = "Your session has ended. What you have selected stays in the address.";
    const link = document.createElement("a");
    link.textContent = "Sign in again";
    link.className = "button";
    const here = () => `${site()}sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
    link.href = here();
    link.addEventListener("click", () => (link.href = here())); // the address may have changed since
    const box = document.createElement("div");
    box.className = "session-over";
    box.setAttribute("role", "alert");
    box.append(words, link);
    document.body.append(box);
  };
  window.fetch = async (...request) => {
    const answer = await send(...request);
    if (answer.status === 401 && new URL(answer.url).origin === location.origin) tell();
    return answer;
  };
  // A picture does not say why it failed; the layout, which needs a session as well, does.
  document.addEventListener(
    "error",
    (event) => {
      if (event.target instanceof HTMLImageElement) window.fetch(`${site()}_dash-layout`).catch(() => {});
    },
    true,
  );
})();
