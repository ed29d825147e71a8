// The similarity matrix: fetches the picture of the part in view, sharp, and the exact values under the pointer.
window.dash_clientside = window.dash_clientside || {};
window.dash_clientside.matrix = (() => {
  const PIXELS = 800;
  let newestTile = 0;
  let newestPoint = 0;

  const plot = () => document.querySelector("#similarity .js-plotly-plot");
  const nextFrame = () => new Promise(requestAnimationFrame);

  // Round a view outward to cells of the pyramid's level that the server will take it from.
  function part(range, channels, step) {
    const low = Math.floor((Math.min(...range) + 0.5) / step) * step;
    const high = Math.ceil((Math.max(...range) + 0.5) / step) * step;
    return [Math.max(0, low), Math.min(channels, high)];
  }

  function view(layout) {
    const n = layout.meta.channels;
    const [x, y] = [layout.xaxis.range, layout.yaxis.range];
    const longest = Math.max(Math.abs(x[1] - x[0]), Math.abs(y[1] - y[0]));
    let step = 1;
    while (longest / (2 * step) >= PIXELS) step *= 2;
    return { rows: part(y, n, step), columns: part(x, n, step) };
  }

  async function retile(changed, figure) {
    const skip = window.dash_clientside.no_update;
    if (changed && Object.keys(changed).every((key) => key.startsWith("images"))
      && window.dash_clientside.callback_context.triggered_id !== undefined
      && window.dash_clientside.callback_context.triggered[0].prop_id.endsWith("relayoutData")) return skip;
    const turn = ++newestTile;
    await nextFrame();
    await nextFrame(); // plotly draws a new figure after Dash has called back
    const graph = plot();
    if (!graph || !graph._fullLayout || !graph.layout.meta) return skip;
    const { rows, columns } = view(graph._fullLayout);
    const meta = graph._fullLayout.meta;
    if (rows[1] <= rows[0] || columns[1] <= columns[0]) return skip;
    const whole = rows[0] === 0 && columns[0] === 0 && rows[1] === meta.channels && columns[1] === meta.channels;
    const place = `&r0=${rows[0]}&r1=${rows[1]}&c0=${columns[0]}&c1=${columns[1]}`;
    const source = `${meta.tiles}${whole ? "" : place}&px=${PIXELS}`;
    if (graph.layout.images[0].source === source) return skip;
    const picture = new Image();
    picture.src = source;
    await picture.decode();
    if (turn !== newestTile) return skip; // the view has moved on
    await window.Plotly.relayout(graph, {
      "images[0].source": source,
      "images[0].x": columns[0] - 0.5,
      "images[0].y": rows[0] - 0.5,
      "images[0].sizex": columns[1] - columns[0],
      "images[0].sizey": rows[1] - rows[0],
    });
    return source;
  }

  async function point(hover) {
    const skip = window.dash_clientside.no_update;
    const graph = plot();
    if (!hover || !graph) return skip;
    const meta = graph.layout.meta;
    const first = hover.points[0] || {};
    const label = hover.xaxes_id === "x3" && typeof first.x === "string" ? first : null;
    let j = Math.round(hover.xvals ? hover.xvals[0] : first.x);
    let i = Math.round(hover.yvals ? hover.yvals[0] : first.y);
    if (label) j = i;
    if (hover.yaxes_id === "y2") i = j;
    const inside = (k) => k >= 0 && k < meta.channels;
    if (!inside(i) || !inside(j)) return skip;
    const turn = ++newestPoint;
    const answer = await fetch(`${meta.values}&i=${i}&j=${j}`);
    if (turn !== newestPoint || !answer.ok) return skip;
    const { text } = await answer.json();
    return label ? `${text} · NMI with ${label.x} ${label.z.toFixed(3)}` : text;
  }

  return { retile, point };
})();
