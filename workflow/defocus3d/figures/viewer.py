"""A page with the tracks in 3D, to turn by mouse, beside the film; it needs nothing but itself."""

import html
import json

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from defocus3d.figures import pages, style

MOST_POINTS = 8000  # of the longest tracks; about 10 bytes each in the page
STEP_UM = 0.01  # positions are rounded to this

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>@TITLE@</title><style>
body{font:14px "DejaVu Sans",Arial,sans-serif;color:#222;background:#fff;margin:12px}
#panels{display:flex;flex-wrap:wrap;gap:18px;align-items:flex-start}
canvas{border:1px solid #ccc;cursor:grab;touch-action:none;display:block}
.bar{height:12px;width:220px;display:inline-block;vertical-align:middle;margin:0 6px;background:linear-gradient(to right,@STOPS@)}
h1{font-size:16px;margin:0 0 8px}p{margin:6px 0;max-width:56em}figure{margin:0}figure.film{width:400px}img{max-width:400px}figcaption{margin-top:6px}
</style></head><body>
<h1>@TITLE@</h1>
<p>@WORDS@</p>
<p>z <span>@LOW@ µm</span><span class="bar"></span><span>@HIGH@ µm</span>
<label><input type="range" id="stretch" min="1" max="5" step="0.1" value="@STRETCH@"> z stretched ×<span id="times"></span></label>
<button id="reset">from the side</button> <button id="top">from above</button></p>
<div id="panels">
<figure><canvas id="view" width="620" height="500"></canvas><figcaption>drag: turn; wheel: closer; ticks in µm</figcaption></figure>
@FILM@
</div>
<script>
const tracks=@TRACKS@,step=@STEP@,low=@LOWS@,high=@HIGHS@,colours=@COLOURS@;
const canvas=document.getElementById("view"),pen=canvas.getContext("2d"),slider=document.getElementById("stretch");
const middle=low.map((v,i)=>(v+high[i])/2);let yaw,pitch,zoom;
function home(){yaw=-0.6;pitch=1.15;zoom=1;draw()}
function project(p){
 const k=+slider.value,x=p[0]-middle[0],y=p[1]-middle[1],z=(p[2]-middle[2])*k;
 const span=Math.hypot(high[0]-low[0],high[1]-low[1],k*(high[2]-low[2]))||1,s=zoom*1.3*canvas.height/span;
 const u=x*Math.cos(yaw)-y*Math.sin(yaw),v=x*Math.sin(yaw)+y*Math.cos(yaw);
 return [canvas.width/2+s*u,canvas.height/2+s*(v*Math.cos(pitch)-z*Math.sin(pitch))];
}
function line(a,b){const p=project(a),q=project(b);pen.beginPath();pen.moveTo(...p);pen.lineTo(...q);pen.stroke()}
function box(){
 pen.strokeStyle="#aaa";pen.lineWidth=1;
 for(let i=0;i<8;i++)for(let j=0;j<3;j++)if(!(i>>j&1)){
  const at=n=>[0,1,2].map(m=>n>>m&1?high[m]:low[m]);line(at(i),at(i|1<<j))}
}
function words(){
 pen.fillStyle="#222";pen.font="12px sans-serif";
 ["x","y","z"].forEach((name,j)=>{
  const range=high[j]-low[j];let t=10**Math.floor(Math.log10(range/2));if(range/t>10)t*=5;else if(range/t>5)t*=2;
  for(let v=Math.ceil(low[j]/t)*t;v<=high[j]+1e-9;v+=t){
   const a=[high[0],high[1],low[2]];if(j==0)a[1]=high[1];if(j==1)a[0]=high[0];if(j==2){a[0]=low[0];a[1]=high[1]}
   a[j]=v;const p=project(a);pen.fillText(+v.toFixed(3)+"",p[0]+4,p[1]+12)}
  const e=[high[0],high[1],low[2]];if(j==2){e[0]=low[0]}e[j]=middle[j];const p=project(e);
  pen.font="bold 13px sans-serif";pen.fillText(name+" (µm)",p[0]+(j==2?-48:14),p[1]+28);pen.font="12px sans-serif"});
}
function draw(){
 document.getElementById("times").textContent=(+slider.value).toFixed(1);
 pen.fillStyle="#fff";pen.fillRect(0,0,canvas.width,canvas.height);box();pen.lineWidth=1.3;
 for(const t of tracks){let a=null;for(let i=0;i<t.length;i+=3){
  const b=[t[i]*step,t[i+1]*step,t[i+2]*step];
  if(a){const c=((a[2]+b[2])/2-low[2])/(high[2]-low[2]);
   pen.strokeStyle=colours[Math.max(0,Math.min(colours.length-1,Math.floor(c*colours.length)))];line(a,b)}
  a=b}}
 words();
}
let from=null;
canvas.onpointerdown=e=>{from=[e.clientX,e.clientY];canvas.setPointerCapture(e.pointerId)};
canvas.onpointermove=e=>{if(from){yaw+=(e.clientX-from[0])*0.01;pitch=Math.max(0,Math.min(Math.PI,pitch-(e.clientY-from[1])*0.01));
 from=[e.clientX,e.clientY];draw()}};
canvas.onpointerup=()=>{from=null};
canvas.onwheel=e=>{e.preventDefault();zoom*=e.deltaY<0?1.1:1/1.1;draw()};
slider.oninput=draw;document.getElementById("reset").onclick=home;
document.getElementById("top").onclick=()=>{yaw=0;pitch=0;draw()};
home();
</script></body></html>
"""
FILM = """<figure class="film">@PICTURE@
<figcaption>recorded frames (inverted) with the tracks running over them; colour is z</figcaption></figure>"""


def tracks_page(tracks: pd.DataFrame, name: str, film: bytes = b"") -> str:
    """The page (HTML) of the tracks of acquisition `name`, coloured by z, from the table tracks.parquet; `film` is a WebP."""
    lengths = tracks.groupby("particle").size().sort_values(ascending=False, kind="stable")
    kept = lengths.index[: max(1, int((lengths.cumsum() <= MOST_POINTS).sum()))]
    shown = tracks[tracks["particle"].isin(kept)].sort_values(["particle", "frame"])
    places = shown[["x_um", "y_um", "z_um"]]
    limits = [style.depth_limits(places[axis]) for axis in places]
    rounded = (places.to_numpy() / STEP_UM).round().astype(int)
    paths = [rounded[rows].ravel().tolist() for rows in shown.groupby("particle").indices.values()]
    words = f"{len(lengths):,} tracks" if len(lengths) else "no track was found"
    if len(lengths):
        words += f", the {len(kept):,} longest drawn" if len(kept) < len(lengths) else ""
        words += f"; median {lengths.median():g} frames, longest {lengths.iloc[0]}"
    colours = [to_hex(colour) for colour in style.DEPTH(np.linspace(0, 1, 32))]
    height, widest = limits[2][1] - limits[2][0], max(high - low for low, high in limits[:2])
    pieces = {
        "TITLE": html.escape(f"{name}: tracks in 3D"),
        "WORDS": words,
        "STOPS": ",".join(colours[::4]),
        "LOW": f"{limits[2][0]:.2f}".replace("-", "−"),
        "HIGH": f"{limits[2][1]:.2f}",
        "STRETCH": f"{np.clip(0.35 * widest / height, 1, 5):.1f}",
        "FILM": FILM.replace("@PICTURE@", pages.picture(film, "webp", "frames with tracks")) if film else "",
        "TRACKS": json.dumps(paths, separators=(",", ":")),
        "STEP": str(STEP_UM),
        "LOWS": json.dumps([round(low, 3) for low, _ in limits]),
        "HIGHS": json.dumps([round(high, 3) for _, high in limits]),
        "COLOURS": json.dumps(colours),
    }
    page = PAGE
    for key, piece in pieces.items():
        page = page.replace(f"@{key}@", piece)
    return page
