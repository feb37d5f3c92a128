"""GLSL sources of what the camera does to the light: glare, exposure, clipping, encoding.

References
----------
Veil: CIE general disability glare, Vos 1999 (CIE 146:2002), in cd/m2 per lux at theta degrees:
10/theta^3 + (5/theta^2 + 0.1 p/theta)(1 + (age/62.5)^4) + 0.0025 p; here for a young eye (age term
and pigment p = 0), with its core flattened below CORE_DEG, where the camera's own blur (the bloom)
takes over. Bloom: a blur pyramid as in Jimenez 2014. Anti-aliasing: Lottes 2009 (FXAA).
"""

from capture.game.shaders import VERSION

CORE_DEG = 4.5

BLUR_FRAGMENT = (
    VERSION
    + """
in vec2 uv;
out vec4 colour;
uniform sampler2D source;
uniform vec2 texel;             // of the source
uniform float ceiling;          // tames single bright pixels; 0 = no limit
vec4 tap(float x, float y) {
    vec4 c = texture(source, uv + vec2(x, y) * texel);
    return ceiling > 0.0 ? min(c, vec4(ceiling)) : c;
}
void main() {
    colour = tap(0, 0) * 0.25
        + (tap(-1.5, 0.5) + tap(0.5, 1.5) + tap(1.5, -0.5) + tap(-0.5, -1.5)) * 0.125
        + (tap(-2.5, -2.5) + tap(2.5, -2.5) + tap(-2.5, 2.5) + tap(2.5, 2.5)) * 0.0625;
}
"""
)

DEVELOP_VERTEX = (
    VERSION
    + """
in vec4 p3d_Vertex;
uniform sampler2D scene;
uniform vec3 sun_at;            // position of the sun in the picture (0..1), 1 = in front
uniform vec2 sun_size;          // half width and height to look for it, fraction of the picture
out vec2 uv;
flat out float seen;            // part of the sun that nothing hides
void main() {
    uv = p3d_Vertex.xz * 0.5 + 0.5;
    gl_Position = vec4(p3d_Vertex.xz, 0.0, 1.0);
    float open = 0.0, count = 0.0;
    for (int i = 0; i < 5; i++) for (int j = 0; j < 5; j++) {
        vec2 p = sun_at.xy + sun_size * (vec2(i, j) * 0.5 - 1.0);
        bool inside = sun_at.z > 0.0 && p == clamp(p, 0.0, 1.0);
        open += inside ? textureLod(scene, p, 0.0).a : 0.8;
        count += 1.0;
    }
    seen = open / count;
}
"""
)

_LIGHT = (
    VERSION
    + """
in vec2 uv;
flat in float seen;
out vec4 colour;
uniform sampler2D scene, bloom1, bloom2, bloom3;
uniform vec3 view_x, view_y, view_z, sun_dir;
uniform vec3 glare;             // sun's irradiance at the lens, times the share that scatters
uniform float core_deg;
uniform float bloom;            // share of light that blurs
uniform float exposure;
vec3 exposed_light() {
    vec3 ray = normalize(view_z + view_x * (uv.x * 2.0 - 1.0) + view_y * (uv.y * 2.0 - 1.0));
    float c = dot(ray, sun_dir);
    vec3 light = texture(scene, uv).rgb;
    vec3 wide = texture(bloom1, uv).rgb * 0.30 + texture(bloom2, uv).rgb * 0.35
        + texture(bloom3, uv).rgb * 0.35;
    light = mix(light, wide, bloom);
    float t = degrees(acos(clamp(c, -1.0, 1.0)));
    float t2 = t * t + core_deg * core_deg;
    float veil = 10.0 / (t2 * sqrt(t2)) + 5.0 / t2;
    light += glare * veil * (0.25 + 0.75 * seen);
    return light * exposure;
}
"""
)

LIGHT_FRAGMENT = _LIGHT + "void main() { colour = vec4(exposed_light(), 1.0); }\n"

DEVELOP_FRAGMENT = (
    _LIGHT
    + """
void main() {
    vec3 light = exposed_light();
    float over = step(1.0, max(light.r, max(light.g, light.b)));
    light = clamp(light, 0.0, 1.0);
    vec3 low = light * 12.92;
    vec3 high = 1.055 * pow(max(light, vec3(0.0031308)), vec3(1.0 / 2.4)) - 0.055;
    colour = vec4(mix(high, low, vec3(lessThanEqual(light, vec3(0.0031308)))), over);
}
"""
)

FXAA_FRAGMENT = (
    VERSION
    + """
in vec2 uv;
out vec4 colour;
uniform sampler2D picture;
uniform vec2 texel;
float luma(vec3 c) { return dot(c, vec3(0.299, 0.587, 0.114)); }
void main() {
    vec4 here = texture(picture, uv);
    float m = luma(here.rgb);
    float nw = luma(texture(picture, uv + vec2(-0.5, 0.5) * texel).rgb);
    float ne = luma(texture(picture, uv + vec2(0.5, 0.5) * texel).rgb);
    float sw = luma(texture(picture, uv + vec2(-0.5, -0.5) * texel).rgb);
    float se = luma(texture(picture, uv + vec2(0.5, -0.5) * texel).rgb);
    float low = min(m, min(min(nw, ne), min(sw, se))), high = max(m, max(max(nw, ne), max(sw, se)));
    if (high - low < max(0.04, high * 0.12)) { colour = here; return; }
    vec2 dir = vec2(-((nw + ne) - (sw + se)), (nw + sw) - (ne + se));
    float ease = max((nw + ne + sw + se) * 0.03125, 0.0078);
    dir = clamp(dir / (min(abs(dir.x), abs(dir.y)) + ease), -6.0, 6.0) * texel;
    vec3 a = 0.5 * (texture(picture, uv - dir / 6.0).rgb + texture(picture, uv + dir / 6.0).rgb);
    vec3 b = 0.5 * a + 0.25 * (texture(picture, uv - dir * 0.5).rgb
        + texture(picture, uv + dir * 0.5).rgb);
    float lb = luma(b);
    colour = vec4(lb < low || lb > high ? a : b, here.a);
}
"""
)
