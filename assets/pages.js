// Moving between views: links that stay on a page change its URL alone, and Dash follows the URL.
window.dash_clientside = window.dash_clientside || {};
window.dash_clientside.pages = {
  title: (title) => {
    document.title = title;
    return title;
  },
  // The slider's place → the step of training, null at the end; its URL replaces the one before, so that "back" leaves.
  step: (place, steps, shown) => {
    const step = place === steps.length - 1 ? null : steps[place];
    if (step === shown) return window.dash_clientside.no_update;
    window.history.replaceState(window.history.state, "", step === null ? location.pathname : `?step=${step}`);
    window.dispatchEvent(new PopStateEvent("popstate")); // else Dash takes the URL for one that it has to put back
    return step;
  },
};

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.stay");
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain) return;
  event.preventDefault();
  window.dash_clientside.set_props("url", { search: link.search });
});

document.addEventListener("click", (event) => {
  const cell = event.target.closest(".cell[data-member]");
  if (cell) window.dash_clientside.set_props("chosen-member", { data: Number(cell.dataset.member) });
});
