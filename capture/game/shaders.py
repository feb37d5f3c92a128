"""GLSL sources of everything in the scene. All light is linear radiance; nothing is clipped here.

References
----------
Surfaces: Trowbridge, Reitz 1975 (GGX) with Smith's visibility and Schlick's Fresnel, as in Walter
et al. 2007. Clouds: Henyey, Greenstein 1941 phase function. Ambient: see ``sky``.
"""

VERSION = "#version 330\n"

COMMON = """
uniform sampler2D sky_map;      // radiance at weak strength, compass by root of elevation
uniform float sky_gain;         // what the sun's strength makes of it
uniform vec3 sun_dir;           // unit, towards the sun
uniform vec3 sun_light;         // irradiance of a surface that faces the sun
uniform vec3 harmonics[9];      // irradiance of the sky at this strength
const float PI = 3.14159265;

vec2 sky_uv(vec3 d) {
    float e = asin(clamp(d.z, -1.0, 1.0)) / (0.5 * PI);
    return vec2(0.5 + atan(d.x, d.y) / (2.0 * PI), 0.5 + 0.5 * sign(e) * sqrt(abs(e)));
}
vec3 sky_light(vec3 d, float lod) {
    return textureLod(sky_map, sky_uv(d), lod).rgb * sky_gain;
}
vec3 ambient(vec3 n) {
    return max(vec3(0.0), harmonics[0] + harmonics[1] * n.y + harmonics[2] * n.z
        + harmonics[3] * n.x + harmonics[4] * n.x * n.y + harmonics[5] * n.y * n.z
        + harmonics[6] * (3.0 * n.z * n.z - 1.0) + harmonics[7] * n.x * n.z
        + harmonics[8] * (n.x * n.x - n.y * n.y));
}
vec3 linear(vec3 srgb) { return srgb * (srgb * (srgb * 0.305306011 + 0.682171111) + 0.012522878); }
float ggx(float nh, float a2) { float d = nh * nh * (a2 - 1.0) + 1.0; return a2 / (PI * d * d); }
float henyey(float c, float g) { return (1.0 - g * g) / pow(1.0 + g * g - 2.0 * g * c, 1.5); }
"""

SCREEN_VERTEX = (
    VERSION
    + """
in vec4 p3d_Vertex;
out vec2 uv;
void main() { uv = p3d_Vertex.xz * 0.5 + 0.5; gl_Position = vec4(p3d_Vertex.xz, 0.0, 1.0); }
"""
)

SKY_VERTEX = (
    VERSION
    + """
in vec4 p3d_Vertex;
uniform vec3 view_x, view_y, view_z;   // right, up and ahead, scaled to the picture's corners
out vec3 ray;
void main() {
    ray = view_z + view_x * p3d_Vertex.x + view_y * p3d_Vertex.z;
    gl_Position = vec4(p3d_Vertex.xz, 0.9999999, 1.0);
}
"""
)

SKY_FRAGMENT = (
    VERSION
    + COMMON
    + """
in vec3 ray;
out vec4 colour;
uniform sampler2D layer;        // billows, wisps, fine, waves
uniform sampler2D cumulus;      // packed normals, cover
uniform vec4 layer_look;        // billow cover, wisp cover, scale, drift
uniform vec2 cumulus_look;      // amount, turn
uniform vec3 sun_disc;          // radiance of the disc
uniform float sun_cos;          // cosine of its radius
void main() {
    vec3 d = normalize(ray);
    vec3 sky = sky_light(d, 0.0);
    float clear = 1.0, towards = dot(d, sun_dir);
    vec3 top = ambient(vec3(0.0, 0.0, 1.0)) / PI, low = ambient(vec3(0.0, 0.0, -1.0)) / PI;
    float glow = 0.35 * henyey(towards, 0.55);
    if (d.z > 0.015) {
        vec2 p = d.xy / (d.z + 0.06) * layer_look.z + layer_look.w;
        vec4 n = texture(layer, p), m = texture(layer, p * 3.1);
        vec4 s = texture(layer, p + sun_dir.xy * 0.02);
        float fade = smoothstep(0.015, 0.16, d.z);
        float b = n.r * 0.75 + m.b * 0.25;
        float dense = smoothstep(1.0 - layer_look.x, 1.32 - layer_look.x, b);
        float shade = clamp(0.5 + 3.0 * (n.r - s.r), 0.0, 1.0);
        vec3 lit = top * (0.62 + 0.2 * shade) + low * 0.15
            + sun_light / PI * (0.18 + 0.5 * shade) * min(1.2, 0.5 + glow) * (1.0 - 0.55 * dense);
        sky = mix(sky, lit, dense * fade);
        float w = layer_look.y * smoothstep(0.35, 0.95, n.g * 0.7 + m.b * 0.3) * fade;
        sky = mix(sky, top * 0.75 + sun_light / PI * min(1.0, 0.25 + 0.6 * glow), w);
        clear *= (1.0 - 0.92 * dense * fade) * (1.0 - 0.5 * w);
    }
    float e = degrees(asin(clamp(d.z, -1.0, 1.0)));
    float turn = atan(d.x, d.y) / (2.0 * PI) + cumulus_look.y;
    vec4 puff = texture(cumulus, vec2(turn, (e + 6.0) / 48.0));
    float cover = cumulus_look.x * smoothstep(0.12, 0.75, puff.a) * smoothstep(-5.0, 1.0, e)
        * smoothstep(42.0, 30.0, e);
    if (cover > 0.0) {
        vec3 n = puff.rgb * 2.0 - 1.0;
        vec3 right = normalize(vec3(d.y, -d.x, 0.001)), up = cross(right, d);
        n = normalize(right * n.x + up * n.y - d * max(n.z, 0.15));
        float lambert = clamp(0.45 + 0.55 * dot(n, sun_dir), 0.0, 1.0);
        float edge = (1.0 - puff.a) * min(0.9, glow);
        vec3 lit = ambient(n) / PI * 0.95 + sun_light / PI * (0.7 * lambert + edge);
        float haze = 0.25 + 0.6 * exp(-max(e, 0.0) * 0.16);
        sky = mix(sky, mix(lit, sky, haze * 0.75), cover);
        clear *= 1.0 - 0.95 * cover;
    }
    float disc = smoothstep(sun_cos, sun_cos + 0.4 * (1.0 - sun_cos), towards) * step(0.0, d.z);
    sky += sun_disc * disc * clear;
    colour = vec4(sky, clear * step(-0.01, d.z));
}
"""
)

GROUND_VERTEX = (
    VERSION
    + """
in vec4 p3d_Vertex;
uniform mat4 p3d_ViewProjectionMatrix;
uniform sampler2D heights;
uniform vec4 place;             // metres east and north of the tile's origin, heading cos, sin
uniform float tile_m;
uniform float eye_m;            // camera above the sea
out vec3 world;                 // relative to the camera, metres
out vec2 uv;
void main() {
    vec2 p = vec2(place.z * p3d_Vertex.x + place.w * p3d_Vertex.y,
                  -place.w * p3d_Vertex.x + place.z * p3d_Vertex.y);
    uv = (p + place.xy) / tile_m;
    float r = length(p);
    float h = max(0.0, textureLod(heights, uv, 0.0).r) * (1.0 - 0.6 * smoothstep(25e3, 6e4, r));
    world = vec3(p, h - eye_m - r * r / 1.27e7);
    gl_Position = p3d_ViewProjectionMatrix * vec4(world, 1.0);
}
"""
)

GROUND_FRAGMENT = (
    VERSION
    + COMMON
    + """
in vec3 world;
in vec2 uv;
out vec4 colour;
uniform sampler2D heights;
uniform sampler2D ground;       // albedo, land
uniform sampler2D layer;
uniform float tile_m;
uniform float haze;             // extinction, 1/m
uniform float soft;             // 1 = a sea of clouds
uniform vec3 water_colour;
vec3 sea(vec3 v, float r) {
    vec2 p = world.xy + uv * tile_m;
    vec2 w = texture(layer, uv * 61.0).ab + texture(layer, uv * 23.0 + 0.3).ba - 1.0;
    float calm = 1.0 / (1.0 + r / 5000.0);
    vec3 n = normalize(vec3(w * 0.22 * calm, 1.0));
    vec3 h = normalize(v + sun_dir);
    float f = 0.02 + 0.98 * pow(1.0 - clamp(dot(n, v), 0.05, 1.0), 5.0);
    vec3 m = reflect(-v, n);
    m.z = abs(m.z) + 0.03;
    vec3 body = water_colour * (ambient(vec3(0, 0, 1)) + sun_light * max(sun_dir.z, 0.0)) / PI;
    float a = 0.16 + 0.10 * (1.0 - calm);
    float fh = 0.02 + 0.98 * pow(1.0 - clamp(dot(h, v), 0.0, 1.0), 5.0);
    float glint = ggx(max(dot(n, h), 0.0), a * a) * fh * max(sun_dir.z, 0.0)
        / (4.0 * max(0.12, max(dot(v, n), sun_dir.z)));
    return mix(body, sky_light(normalize(m), 2.0), min(f, 0.75)) + sun_light * min(glint, 0.55);
}
void main() {
    float r = length(world);
    vec3 v = -world / r;
    vec4 near = texture(ground, uv);
    vec4 fine = texture(layer, uv * 47.0), finer = texture(layer, uv * 331.0);
    float detail = mix(fine.b, finer.b, 0.5 * exp(-r / 3500.0));
    vec3 albedo = linear(near.rgb) * mix(1.0, 0.55 + 0.9 * detail, 0.75 * (1.0 - soft));
    float step_uv = 1.0 / 512.0;
    vec2 dx = vec2(step_uv, 0.0), dy = dx.yx;
    float hx = textureLod(heights, uv + dx, 0.0).r - textureLod(heights, uv - dx, 0.0).r;
    float hy = textureLod(heights, uv + dy, 0.0).r - textureLod(heights, uv - dy, 0.0).r;
    float rough = 22.0 * (1.0 - soft) + 10.0;
    vec2 bumps = rough * (fine.rb - fine.gg);
    vec3 n = normalize(vec3(bumps - vec2(hx, hy), 2.0 * tile_m * step_uv));
    float lambert = max(0.0, mix(dot(n, sun_dir), 0.4 + 0.6 * dot(n, sun_dir), soft));
    vec3 light = albedo / PI * (sun_light * lambert + ambient(n));
    if (near.a < 0.99) light = mix(sea(v, r), light, smoothstep(0.35, 0.75, near.a));
    float fog = 1.0 - exp(-r * haze);
    vec3 air = sky_light(normalize(vec3(-v.xy, 0.015)), 0.0);
    air += sun_light * 0.006 * henyey(max(0.0, dot(-v, sun_dir)), 0.7);
    colour = vec4(mix(light, air, fog), 0.0);
}
"""
)

CRAFT_VERTEX = (
    VERSION
    + """
in vec4 p3d_Vertex;
in vec3 p3d_Normal;
in vec2 p3d_MultiTexCoord0;
uniform mat4 p3d_ModelMatrix;
uniform mat4 p3d_ModelViewProjectionMatrix;
out vec3 world;
out vec3 normal;
out vec3 local;
out vec2 uv;
void main() {
    world = (p3d_ModelMatrix * p3d_Vertex).xyz;
    normal = mat3(p3d_ModelMatrix) * p3d_Normal;
    local = p3d_Vertex.xyz;
    uv = p3d_MultiTexCoord0;
    gl_Position = p3d_ModelViewProjectionMatrix * p3d_Vertex;
}
"""
)

CRAFT_FRAGMENT = (
    VERSION
    + COMMON
    + """
in vec3 world;
in vec3 normal;
in vec3 local;
in vec2 uv;
out vec4 colour;
uniform sampler2D livery;
uniform sampler2D shadow_map;   // depth from the sun; compared here, as some drivers cannot
uniform vec3 craft_at, shadow_x, shadow_y;   // axes over the radius that the map covers
uniform float shadow_radius;
const float FILL = 1.5;         // light between clouds, ground and airframe that harmonics lack
float lit(vec2 texel, float depth) {
    return step(depth, texelFetch(shadow_map, ivec2(texel), 0).r);
}
float sunlit(vec3 n) {
    vec3 p = world - craft_at + n * 0.008 * shadow_radius;
    float depth = 0.5 - 0.5 * dot(p, sun_dir) / shadow_radius - 0.004;
    vec2 at = (0.5 + 0.5 * vec2(dot(p, shadow_x), dot(p, shadow_y))) * 512.0 - 0.5;
    vec2 q = floor(at), f = at - q;
    float low = mix(lit(q, depth), lit(q + vec2(1, 0), depth), f.x);
    return mix(low, mix(lit(q + vec2(0, 1), depth), lit(q + vec2(1, 1), depth), f.x), f.y);
}
void main() {
    vec4 paint = texture(livery, uv);
    vec3 albedo = linear(paint.rgb);
    vec3 v = normalize(-world), n = normalize(normal);
    if (dot(n, v) < 0.0) n = normalize(n - 1.02 * dot(n, v) * v);
    float rough = mix(0.75, 0.24, paint.a * paint.a), a = rough * rough;
    float nv = max(dot(n, v), 0.04), nl = dot(n, sun_dir);
    vec3 h = normalize(v + sun_dir);
    float glass = step(0.98, paint.a);
    float f0 = mix(0.04, 0.09, glass);
    float f = f0 + (1.0 - f0) * pow(1.0 - nv, 5.0) * (1.0 - 0.7 * rough);
    vec3 light = albedo / PI * (1.0 - f) * ambient(n) * FILL;
    if (nl > 0.0) {
        float fh = f0 + (1.0 - f0) * pow(1.0 - max(dot(h, v), 0.0), 5.0);
        float k = a * 0.5, smith = 1.0 / ((nv * (1.0 - k) + k) * (nl * (1.0 - k) + k) * 4.0);
        float spark = min(ggx(max(dot(n, h), 0.0), a * a) * fh * smith, 0.9);
        light += sun_light * nl * sunlit(n) * (albedo / PI * (1.0 - fh) + spark);
    }
    light += sky_light(reflect(-v, n), 5.0 * rough) * f;
    colour = vec4(light, 0.0);
}
"""
)

SHADOW_VERTEX = (
    VERSION
    + """
in vec4 p3d_Vertex;
uniform mat4 p3d_ModelViewProjectionMatrix;
void main() { gl_Position = p3d_ModelViewProjectionMatrix * p3d_Vertex; }
"""
)

SHADOW_FRAGMENT = (
    VERSION
    + """
out vec4 colour;
void main() { colour = vec4(gl_FragCoord.z); }
"""
)

ROTOR_FRAGMENT = (
    VERSION
    + COMMON
    + """
in vec3 world;
in vec3 normal;
in vec3 local;
in vec2 uv;
out vec4 colour;
uniform vec2 blades;            // number, phase in turns
void main() {
    vec2 q = uv * 2.0 - 1.0;
    float r = length(q), angle = atan(q.y, q.x) / (2.0 * PI);
    float sweep = pow(fract((angle + blades.y) * blades.x), 3.0);
    float cover = (0.07 + 0.30 * sweep) * smoothstep(1.0, 0.95, r) * smoothstep(0.05, 0.12, r);
    float tip = 0.5 * smoothstep(0.90, 0.92, r) * smoothstep(0.98, 0.96, r);
    vec3 albedo = mix(vec3(0.03), vec3(0.5, 0.36, 0.04), tip);
    vec3 n = normalize(normal);
    n = dot(n, -world) < 0.0 ? -n : n;
    colour = vec4(albedo / PI * (ambient(n) + sun_light * abs(dot(n, sun_dir))), cover);
}
"""
)
