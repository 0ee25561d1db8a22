"""A small path tracer: spheres on a checkered floor under a soft sky. Standard library only.

Only + - * / and square roots, which IEEE 754 rounds alike everywhere: two machines draw the same pixels to the bit.
Method: Kajiya, "The Rendering Equation", SIGGRAPH 1986; cosine-weighted bounces, Russian roulette after the third.
"""

import random
from math import sqrt

WIDTH, HEIGHT = 384, 216
ACROSS, DOWN = 8, 6  # tiles of 48 x 36 pixels
FRAMES_ROUND = 24  # frames for one turn of the camera
BOUNCES_MAX = 6
ZOOM = 0.34  # half the picture's height at distance 1
MATT, METAL, GLASS = 0, 1, 2

# centre x, y, z, radius, kind, colour, glow (light given off) or blur (of a metal)
SPHERES = (
    (0.0, 1.0, 0.0, 1.0, GLASS, (0.97, 0.98, 1.0), 0.0),
    (-2.1, 0.9, -0.7, 0.9, MATT, (0.85, 0.28, 0.21), 0.0),
    (2.0, 0.8, -0.5, 0.8, METAL, (0.95, 0.80, 0.52), 0.04),
    (0.9, 0.45, 1.6, 0.45, MATT, (0.20, 0.47, 0.75), 0.0),
    (-0.95, 0.35, 1.5, 0.35, METAL, (0.86, 0.88, 0.90), 0.0),
    (-0.2, 0.22, 2.2, 0.22, MATT, (1.0, 0.86, 0.55), 2.5),
    (0.3, 1.3, -2.6, 1.3, MATT, (0.36, 0.62, 0.33), 0.0),
    (1.7, 0.28, 1.15, 0.28, GLASS, (0.9, 1.0, 0.94), 0.0),
)
SUN = (0.4575, 0.7365, 0.4982)  # unit vector towards it


def tile(frame, tile, samples, seed):
    """One block: RGB bytes of one tile, row by row, `samples` paths a pixel."""
    draw = random.Random(seed).random
    eye, right, up, ahead = camera(frame)
    wide, high = WIDTH // ACROSS, HEIGHT // DOWN
    left, top = tile % ACROSS * wide, tile // ACROSS * high
    pixels = bytearray()
    for row in range(top, top + high):
        for column in range(left, left + wide):
            red = green = blue = 0.0
            for _ in range(samples):
                x = (2 * (column + draw()) - WIDTH) / HEIGHT * ZOOM
                y = (HEIGHT - 2 * (row + draw())) / HEIGHT * ZOOM
                ray = unit([ahead[k] + x * right[k] + y * up[k] for k in range(3)])
                seen = radiance(eye, ray, draw)
                red, green, blue = red + seen[0], green + seen[1], blue + seen[2]
            pixels += bytes((shade(red / samples), shade(green / samples), shade(blue / samples)))
    return bytes(pixels)


def join(values):
    """All tiles in order -> one RGB image for each frame."""
    wide, high = WIDTH // ACROSS, HEIGHT // DOWN
    frames = []
    for first in range(0, len(values), ACROSS * DOWN):
        tiles = values[first : first + ACROSS * DOWN]
        image = bytearray()
        for row in range(HEIGHT):
            for column in range(ACROSS):
                at = row % high * wide * 3
                image += tiles[row // high * ACROSS + column][at : at + wide * 3]
        frames.append(bytes(image))
    return {"width": WIDTH, "height": HEIGHT, "frames": frames}


def camera(frame):
    """Eye, and the unit vectors right, up and ahead of it; one turn in FRAMES_ROUND frames."""
    # A rotation by repeated multiplication: no sine, whose last bit differs between C libraries.
    cosine, sine = 0.96592582628906831, 0.25881904510252074  # of 15 degrees
    x, z = 1.5, 6.6
    for _ in range(frame % FRAMES_ROUND):
        x, z = cosine * x + sine * z, cosine * z - sine * x
    eye = (x, 2.3, z)
    ahead = unit((-x, 0.75 - 2.3, -z))
    right = unit((-ahead[2], 0.0, ahead[0]))
    up = (right[1] * ahead[2] - right[2] * ahead[1], right[2] * ahead[0] - right[0] * ahead[2],
          right[0] * ahead[1] - right[1] * ahead[0])  # fmt: skip
    return eye, right, up, ahead


def radiance(point, ray, draw):
    """Light that arrives at `point` against the direction `ray`."""
    red = green = blue = 0.0
    pass_r = pass_g = pass_b = 1.0  # how much of what comes next still arrives
    for bounce in range(BOUNCES_MAX):
        distance, thing = nearest(point, ray)
        if thing is None:
            sky_r, sky_g, sky_b = sky(ray)
            return red + pass_r * sky_r, green + pass_g * sky_g, blue + pass_b * sky_b
        point = (point[0] + distance * ray[0], point[1] + distance * ray[1], point[2] + distance * ray[2])
        ray, colour, glow = scattered(point, ray, thing, draw)
        pass_r, pass_g, pass_b = pass_r * colour[0], pass_g * colour[1], pass_b * colour[2]
        red, green, blue = red + glow * pass_r, green + glow * pass_g, blue + glow * pass_b
        if bounce > 2:
            keep = max(pass_r, pass_g, pass_b)
            if draw() >= keep:
                break
            pass_r, pass_g, pass_b = pass_r / keep, pass_g / keep, pass_b / keep
    return red, green, blue


def nearest(point, ray):
    """Distance to what the ray hits first and what that is: a sphere, "floor", or None."""
    best, found = 1e9, None
    x, y, z = point
    dx, dy, dz = ray
    if dy < 0.0:
        best, found = -y / dy, "floor"
        if best < 1e-4:
            best, found = 1e9, None
    for sphere in SPHERES:
        ox, oy, oz = x - sphere[0], y - sphere[1], z - sphere[2]
        half = ox * dx + oy * dy + oz * dz
        under = half * half - (ox * ox + oy * oy + oz * oz - sphere[3] * sphere[3])
        if under > 0.0:
            root = sqrt(under)
            distance = -half - root
            if distance < 1e-4:
                distance = root - half
            if 1e-4 < distance < best:
                best, found = distance, sphere
    return best, found


def scattered(point, ray, thing, draw):
    """Where the light goes from here: new direction, colour of the surface, and its glow."""
    if thing == "floor":
        odd = (int(point[0] + 1000.0) + int(point[2] + 1000.0)) % 2
        return bounced((0.0, 1.0, 0.0), draw), ((0.78, 0.76, 0.72) if odd else (0.33, 0.34, 0.37)), 0.0
    x, y, z, radius, kind, colour, extra = thing
    normal = ((point[0] - x) / radius, (point[1] - y) / radius, (point[2] - z) / radius)
    if kind == METAL:
        mirror = reflected(ray, normal)
        rough = ball(draw)
        return unit([mirror[k] + extra * rough[k] for k in range(3)]), colour, 0.0
    if kind == GLASS:
        return refracted(ray, normal, draw), colour, 0.0
    return bounced(normal, draw), colour, extra


def refracted(ray, normal, draw):
    """Through glass or off it, by Schlick's approximation of Fresnel's share."""
    cosine = -(ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2])
    ratio = 1 / 1.5
    if cosine < 0.0:  # from inside
        cosine, ratio, normal = -cosine, 1.5, (-normal[0], -normal[1], -normal[2])
    under = 1.0 - ratio * ratio * (1.0 - cosine * cosine)
    away = 1.0 - cosine
    share = 0.04 + 0.96 * away * away * away * away * away
    if under < 0.0 or draw() < share:
        return reflected(ray, normal)
    along = ratio * cosine - sqrt(under)
    return unit([ratio * ray[k] + along * normal[k] for k in range(3)])


def reflected(ray, normal):
    twice = 2 * (ray[0] * normal[0] + ray[1] * normal[1] + ray[2] * normal[2])
    return (ray[0] - twice * normal[0], ray[1] - twice * normal[1], ray[2] - twice * normal[2])


def bounced(normal, draw):
    """A direction off a matt surface, likelier the steeper (cosine-weighted)."""
    x, y, z = ball(draw)
    size = sqrt(x * x + y * y + z * z) or 1.0
    return unit((normal[0] * 1.0001 + x / size, normal[1] * 1.0001 + y / size, normal[2] * 1.0001 + z / size))


def ball(draw):
    """A random point inside the unit ball."""
    while True:
        x, y, z = 2 * draw() - 1, 2 * draw() - 1, 2 * draw() - 1
        if x * x + y * y + z * z < 1.0:
            return x, y, z


def unit(v):
    size = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    return (v[0] / size, v[1] / size, v[2] / size)


def sky(ray):
    """Colour of the sky: warm at the horizon, blue above, and a wide soft sun."""
    high = sqrt(max(0.0, ray[1]))
    near = ray[0] * SUN[0] + ray[1] * SUN[1] + ray[2] * SUN[2]
    sun = 0.0
    if near > 0.4:
        sun = (near - 0.4) / 0.6
        sun = 4.0 * sun * sun * sun * sun
    return (0.95 - 0.75 * high + sun, 0.86 - 0.45 * high + 0.88 * sun, 0.78 + 0.12 * high + 0.66 * sun)


def shade(light):
    """Radiance -> 0 … 255: exposed, pressed below 1, square root as the screen's curve."""
    light *= 0.9
    return int(255.999 * sqrt(min(1.0, light * (1 + light / 9) / (1 + light))))
