#!/usr/bin/env python3
"""The same work as torch_bhn.py's in JAX on the CPU, jitted, with donated buffers. Prints one JSON line.

  python3 -m venv venv && venv/bin/pip install jax numpy
  python jax_bhn.py CASE THREADS [--bf16] [--secs 4]      CASE: mlp bhn bhn8 predict cnn

--bf16 rounds the operands of the primary network's products (forward and both gradients) to bfloat16 and accumulates in f32;
the hypernet, Adam, weights and activations stay f32. One process a case; the number of threads is set before JAX is loaded."""
import argparse, json, os, resource, time

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("case", choices=["mlp", "bhn", "bhn8", "predict", "cnn"])
ap.add_argument("threads", type=int)
ap.add_argument("--bf16", action="store_true")
ap.add_argument("--secs", type=float, default=4)
a = ap.parse_args()
case, threads = a.case, a.threads
os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'} intra_op_parallelism_threads={threads}"
os.sched_setaffinity(0, set(range(threads)))
import jax, jax.numpy as jnp, numpy as np

N, B16 = 50_000, jnp.bfloat16
SIZES = (784, 800, 800, 10)
OUTS, INS = (64, 64, 128, 128, 512, 10), (3, 64, 64, 128, 3200, 512)
D = sum(OUTS if case == "cnn" else SIZES[1:])
r = np.random.RandomState(0)


def f(*shape, std=1.0):
    return jnp.asarray(std * r.randn(*shape), jnp.float32)


def dot(x, y, axes):
    return jax.lax.dot_general(x, y, (axes, ((), ())), preferred_element_type=jnp.float32)


@jax.custom_vjp
def mm16(x, w):
    """x [.., k] w [n, k] transposed, operands in bfloat16."""
    return dot(x.astype(B16), w.astype(B16), ((x.ndim - 1,), (1,)))


def mm16_forward(x, w):
    x, w = x.astype(B16), w.astype(B16)
    return dot(x, w, ((x.ndim - 1,), (1,))), (x, w)


def mm16_backward(saved, g):
    (x, w), g = saved, g.astype(B16)
    lead = tuple(range(x.ndim - 1))
    return dot(g, w, ((g.ndim - 1,), (0,))), dot(g, x, (lead, lead))


mm16.defvjp(mm16_forward, mm16_backward)
mm = mm16 if a.bf16 else lambda x, w: x @ w.T


def conv(x, w):
    if a.bf16:
        x, w = x.astype(B16), w.astype(B16)
    y = jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y.astype(jnp.float32)


def weight_normed(p, x):
    return (x @ p["v"].T) * (p["r"] / jnp.linalg.norm(p["v"], axis=1)) + p["b"]


def init(couplings=8, hidden=200):
    k = D // 2
    layer = lambda i, o: dict(v=f(o, i), r=1e-4 * f(o), b=jnp.zeros(o, jnp.float32))
    flow = [dict(trunk=layer(k, hidden), scale=layer(hidden, D - k), shift=layer(hidden, D - k)) for _ in range(couplings)]
    if case == "cnn":
        v = [0.05 * (f(3, 3, i, o) if l < 4 else f(o, i)) for l, (i, o) in enumerate(zip(INS, OUTS))]
        b = [jnp.zeros(o, jnp.float32) for o in OUTS]
    else:
        v = [0.05 * f(o, i) for i, o in zip(SIZES, SIZES[1:])]
        b = [jnp.zeros(o, jnp.float32) for o in SIZES[1:]]
    return dict(w=-7 + 0.01 * f(D), b=1 + 0.01 * f(D), flow=flow, V=v, B=b)


PERMUTATIONS = [jnp.asarray(r.permutation(D)) for _ in range(7)]


def hypernet(p, eps):
    s = jnp.exp(p["w"]) + 0.001
    z, log_det, k = eps * s + p["b"], jnp.log(s).sum(), D // 2
    for i, c in enumerate(p["flow"]):
        z = z[:, PERMUTATIONS[i - 1]] if i else z
        first, second = z[:, :k], z[:, k:]
        h = jax.nn.relu(weight_normed(c["trunk"], first))
        s = jnp.exp(weight_normed(c["scale"], h)) + 0.001
        z = jnp.concatenate([first, s * second + weight_normed(c["shift"], h)], 1)
        log_det = log_det + jnp.log(s).sum(1)
    c = 0.5 * np.log(2 * np.pi)
    return z, (-0.5 * z * z - c).sum(1), (-0.5 * eps * eps - c).sum(1) - log_det


def mlp(p, x, g, first=None):
    h, at = mm(x, p["V"][0]) if first is None else first, 0
    for l in range(3):
        gl, at = g[:, at : at + SIZES[l + 1]], at + SIZES[l + 1]
        h = mm(h, p["V"][l]) if l else h
        h = h * (gl / jnp.linalg.norm(p["V"][l], axis=1))[:, None, :] + p["B"][l]
        h = jax.nn.relu(h) if l < 2 else h
    return h


def pool(h):
    return jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def cnn(p, x, g):
    h, at = x, 0
    for l, o in enumerate(OUTS):
        v, gl, at = p["V"][l], g[0, at : at + o], at + o
        gl = gl / (jnp.sqrt((v * v).sum((0, 1, 2))) if l < 4 else jnp.linalg.norm(v, axis=1))
        if l < 4:
            h = jax.nn.relu(conv(h, v) * gl + p["B"][l])
            h = pool(h) if l in (1, 3) else h
        else:
            h = mm(h if l == 5 else h.reshape(h.shape[0], -1), v) * gl + p["B"][l]
            h = jax.nn.relu(h) if l == 4 else h
    return h[None]


def nll(outputs, y):
    picked = jnp.broadcast_to(y[None, :, None], (*outputs.shape[:2], 1))
    return -jnp.take_along_axis(jax.nn.log_softmax(outputs), picked, 2).mean()


def loss(p, x, y, eps):
    if case == "mlp":
        h = x
        for l in range(3):
            h = mm(h, p["V"][l]) + p["B"][l]
            h = jax.nn.relu(h) if l < 2 else h
        return nll(h[None], y)
    g, log_p, log_q = hypernet(p, eps)
    return nll((cnn if case == "cnn" else mlp)(p, x, g), y) - (log_p - log_q).mean() / N


def adam(p, m, v, t, x, y, eps):
    value, grads = jax.value_and_grad(loss)(p, x, y, eps)
    if case != "mlp":
        norm = jnp.sqrt(sum((g * g).sum() for g in jax.tree.leaves(grads)))
        grads = jax.tree.map(lambda g: jnp.clip(g * jnp.minimum(1.0, 10.0 / (norm + 1e-6)), -5.0, 5.0), grads)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    rate = 1e-4 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), p, m, v), m, v, value


p, times = init(), []
if case == "mlp":
    p = dict(V=p["V"], B=p["B"])
if case == "predict":

    @jax.jit
    def run(p, x, eps):
        g = hypernet(p, eps)[0]

        def block(x):
            first, zero = mm(x, p["V"][0]), jnp.zeros((1000, 10))
            return jax.lax.scan(lambda sum_, g: (sum_ + jax.nn.softmax(mlp(p, None, g[None], first)[0], -1), None), zero, g)[0]

        return jax.lax.map(block, x)

    x = f(10, 1000, 784)
    run(p, x, f(100, D)).block_until_ready()
    while len(times) < 2 or sum(times) < a.secs:
        eps, start = f(100, D), time.perf_counter()
        run(p, x, eps).block_until_ready()
        times.append(time.perf_counter() - start)
else:
    m, v = jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p)
    step = jax.jit(adam, donate_argnums=(0, 1, 2))
    x, y = (f(64, 32, 32, 3), 64) if case == "cnn" else (f(128, 784), 128)
    y = jnp.asarray(r.randint(0, 10, y))
    eps, i = [f(8 if case == "bhn8" else 1, D) for _ in range(8)], 0
    while i < 12 or sum(times) < a.secs:
        start = time.perf_counter()
        p, m, v, value = step(p, m, v, jnp.float32(i + 1), x, y, eps[i % 8])
        jax.block_until_ready(p)
        i += 1
        if i > 5:
            times.append(time.perf_counter() - start)
times.sort()
ms = 1e3 * np.array(times)
print(json.dumps(dict(case=case, threads=threads, jax=jax.__version__, bf16=a.bf16, ms_median=round(float(np.median(ms)), 2), ms_min=round(float(ms[0]), 2), runs=len(times),
                      peak_rss_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))))
