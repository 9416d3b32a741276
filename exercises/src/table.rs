//! The list of exercises, in the order of the book.
use crate::answers::*;
use crate::{Exercise, checks, engine, models};

/// All exercises; number 1 comes first.
pub const EXERCISES: [Exercise; 20] = [
    Exercise {
        file: "e01_broadcast",
        title: "the gradient of a broadcast product",
        chapter: "tensors",
        hints: &[
            "In which entries of z does a₀ occur? Its gradient has a term for each of them.",
            "∂zᵢⱼ/∂aᵢ is bⱼ, so daᵢ is a sum over j.",
            "da[i] = Σⱼ dz[i][j] * b[j], and db[j] = Σᵢ dz[i][j] * a[i].",
        ],
        solution: include_str!("../solutions/e01_broadcast.rs"),
        grader: || engine::broadcast(e01_broadcast::outer_backward),
    },
    Exercise {
        file: "e02_tape",
        title: "reverse mode on a tape of numbers",
        chapter: "tape",
        hints: &[
            "When is the gradient of a node complete? When all nodes that use it have been \
             visited.",
            "Nodes that use a node come after it. So visit the nodes from `loss` down to 0.",
            "At node `id`, add gradients[id] * slope to gradients[input] for each (input, slope).",
        ],
        solution: include_str!("../solutions/e02_tape.rs"),
        grader: || engine::tape(e02_tape::backward),
    },
    Exercise {
        file: "e03_softsign",
        title: "an elementwise operation with its rule",
        chapter: "gradcheck",
        hints: &[
            "Copy `cube`, and change the function and its derivative.",
            "The absolute value is x.abs().",
            "The contribution is c.g * c.y.mapv(|y| (1. - y.abs()).powi(2)).",
        ],
        solution: include_str!("../solutions/e03_softsign.rs"),
        grader: || engine::softsign(e03_softsign::softsign),
    },
    Exercise {
        file: "e04_logsumexp",
        title: "a log-sum-exp without overflow",
        chapter: "gradcheck",
        hints: &[
            "exp(x − m) cannot overflow if m is the largest entry. What has to be added at the \
             end?",
            "The maximum is x.value().iter().copied().fold(f64::NEG_INFINITY, f64::max).",
            "The gradient of entry k is exp(xₖ − y) dy, so c.x(0).mapv(|x| (x - c.y[[]]).exp() * \
             c.g[[]]).",
        ],
        solution: include_str!("../solutions/e04_logsumexp.rs"),
        grader: || engine::log_sum_exp(e04_logsumexp::log_sum_exp),
    },
    Exercise {
        file: "e05_matmul",
        title: "a matrix product with both gradients",
        chapter: "gradcheck",
        hints: &[
            "Look at the shapes: which product of dy [m, n] and w [k, n], or its transpose, is \
             [m, k]?",
            "The gradient of x is a product of dy with the transpose of w, in this order.",
            "dX = dY Wᵀ and dW = Xᵀ dY, so product(&dy, &transpose(&w)) for x.",
        ],
        solution: include_str!("../solutions/e05_matmul.rs"),
        grader: || engine::matmul(e05_matmul::matmul),
    },
    Exercise {
        file: "e06_adam",
        title: "one step of Adam",
        chapter: "training",
        hints: &[
            "Write one line of Rust for each of the five formulas, in their order.",
            "`let m = 0.9 * m + 0.1 * g;` hides the old m. The corrections use the new m and v.",
            "w - rate * m_hat / (v_hat.sqrt() + 1e-8): ε is added after the square root.",
        ],
        solution: include_str!("../solutions/e06_adam.rs"),
        grader: || engine::adam(e06_adam::adam),
    },
    Exercise {
        file: "e07_coupling",
        title: "a coupling's inverse and log-determinant",
        chapter: "flows",
        hints: &[
            "x₁ is known from y, so s(x₁) and m(x₁) are known, too.",
            "Solve y₂ = s x₂ + m for x₂. The Jacobian is triangular, with 1 and s(x₁) on its \
             diagonal.",
            "ln |det| = ln s(x₁) = ln exp(tanh x₁).",
        ],
        solution: include_str!("../solutions/e07_coupling.rs"),
        grader: || models::coupling(e07_coupling::inverse, e07_coupling::ln_det),
    },
    Exercise {
        file: "e08_planar",
        title: "a planar flow's constraint and log-determinant",
        chapter: "flows",
        hints: &[
            "w·(u + c w) = w·u + c ‖w‖². The derivative of entry i of u tanh(w·x + b) by xⱼ is uᵢ \
             tanh' wⱼ.",
            "c = (softplus(w·u) − 1 − w·u)/‖w‖². The Jacobian is I + (1 − tanh²) u wᵀ.",
            "ln |1 + (1 − tanh²(w·x + b)) u·w|.",
        ],
        solution: include_str!("../solutions/e08_planar.rs"),
        grader: || models::planar(e08_planar::constrained, e08_planar::ln_det),
    },
    Exercise {
        file: "e09_elbo",
        title: "the loss with the right scale of the KL",
        chapter: "inference",
        hints: &[
            "The bound is (N/|B|) Σ_B ln p − KL, an estimate for all N examples. Divide it by −N.",
            "The mean log-likelihood of the minibatch with a minus, plus kl / data.",
            "Rust: `data as f64` converts, and `log_likelihoods.iter().sum::<f64>()` sums.",
        ],
        solution: include_str!("../solutions/e09_elbo.rs"),
        grader: || models::loss(e09_elbo::loss),
    },
    Exercise {
        file: "e10_hypernet",
        title: "the paper's layer for several samples",
        chapter: "hypernet",
        hints: &[
            "Which shapes do x Vᵀ and g/‖v‖ have, and which must they have to broadcast to [S, B, \
             n]?",
            "[B, n] broadcasts with [S, 1, n] to [S, B, n]; so reshape g / v.row_norms().",
            "x.matmul_t(v) * (g / v.row_norms()).reshape(&[g.shape()[0], 1, g.shape()[1]]) + b.",
        ],
        solution: include_str!("../solutions/e10_hypernet.rs"),
        grader: || models::hypernet(e10_hypernet::layer),
    },
    Exercise {
        file: "e11_bald",
        title: "two kinds of uncertainty",
        chapter: "prediction",
        hints: &[
            "The entropy of the mean, and the mean of the entropies.",
            "For the mean, p̄ₖ = (1/S) Σₛ p[s][k]. For the entropy, leave out the entries that are \
             0.",
            "-p.iter().filter(|p| **p > 0.).map(|p| p * p.ln()).sum::<f64>() is the entropy of p: \
             &[f64].",
        ],
        solution: include_str!("../solutions/e11_bald.rs"),
        grader: || models::bald(e11_bald::uncertainties),
    },
    Exercise {
        file: "e12_calibration",
        title: "the expected calibration error",
        chapter: "prediction",
        hints: &[
            "Keep three sums for each bin: the number of answers, of right ones, and of \
             confidences.",
            "Confidence c is in bin number (c * bins as f64).ceil() as usize - 1, counted from 0.",
            "(n_bin/N) |accuracy − confidence| is |number of right answers − sum of \
             confidences|/N.",
        ],
        solution: include_str!("../solutions/e12_calibration.rs"),
        grader: || models::calibration(e12_calibration::ece),
    },
    Exercise {
        file: "e13_posterior",
        title: "a posterior: a sample and its density",
        chapter: "flows",
        hints: &[
            "The log-determinants of maps in a chain add up. The exchange has ln |det| = 0.",
            "The elementwise layer has the Jacobian diag(exp w₁, exp w₂). The second coupling's \
             log-determinant is that at the point it gets.",
            "ln q = −(ε₁² + ε₂²)/2 − ln 2π − (ln det of both couplings + w₁ + w₂).",
        ],
        solution: include_str!("../solutions/e13_posterior.rs"),
        grader: || models::posterior(e13_posterior::draw),
    },
    Exercise {
        file: "e14_evidence",
        title: "the evidence from importance weights",
        chapter: "good",
        hints: &[
            "Exercise 4 computes ln Σ exp. What does the factor 1/S become outside of the \
             logarithm?",
            "Subtract the largest before `exp`, add it at the end, and divide by S or subtract ln \
             S.",
        ],
        solution: include_str!("../solutions/e14_evidence.rs"),
        grader: || models::evidence(e14_evidence::log_evidence),
    },
    Exercise {
        file: "e15_bound_check",
        title: "a check of the loss's scale",
        chapter: "inference",
        hints: &[
            "Compute the expected value yourself, for numbers for which all wrong scales differ.",
            "Use |B|, N and KL that all differ, |B| > 1, and log-likelihoods that differ.",
            "(loss(&[-0.5, -0.7, -2.], 6., 100) - (3.2 / 3. + 0.06)).abs() < 1e-9, and one or two \
             more.",
        ],
        solution: include_str!("../solutions/e15_bound_check.rs"),
        grader: || checks::bound(e15_bound_check::accepts),
    },
    Exercise {
        file: "e16_gradient_check",
        title: "a check of gradients",
        chapter: "gradcheck",
        hints: &[
            "Move one argument at a time, and compare the change of f with the derivative.",
            "(f(x + h) − f(x − h))/2h with h = 10⁻⁵ is right to about 10⁻⁹. Check the length, too.",
            "At 0, at 1, at points of one sign or with equal arguments, faults hide. Use several \
             points, such as (1.7 * i as f64 + start).sin() for argument i, with start 0.3, 2 and \
             4, so that every argument has both signs.",
        ],
        solution: include_str!("../solutions/e16_gradient_check.rs"),
        grader: || checks::gradient(e16_gradient_check::accepts),
    },
    Exercise {
        file: "e17_flow_check",
        title: "a check of flows",
        chapter: "right",
        hints: &[
            "There are three properties: the round trip, one log-determinant, and both adding to \
             0.",
            "Compute the 2 × 2 Jacobian of `forward` by finite differences, and |ad − bc|.",
            "Use several points, with entries of both signs, and not 0: there some faults vanish.",
        ],
        solution: include_str!("../solutions/e17_flow_check.rs"),
        grader: || checks::flow(e17_flow_check::accepts),
    },
    Exercise {
        file: "e18_adam_check",
        title: "a check of Adam",
        chapter: "training",
        hints: &[
            "What is the change after one step, and after steps with different gradients?",
            "The simplest reference is your exercise 6, in a loop over the gradients.",
            "Compare relative to the expected value. Try [1e-8], where ε matters, and [2., -1., \
             0.5].",
        ],
        solution: include_str!("../solutions/e18_adam_check.rs"),
        grader: || checks::adam(e18_adam_check::accepts),
    },
    Exercise {
        file: "e19_density_check",
        title: "a check of a density and its samples",
        chapter: "right",
        hints: &[
            "First ∫ q = 1. Then compare the samples with q: not only their mean and variance.",
            "The sum of exp(log_q(x)) times the step, over a grid up to a point, is the \
             probability P of a smaller sample. Compare it with the share of samples below the \
             point.",
            "Allow four standard errors, 4 √(P (1 − P)/n), for points such as −2, −1.5, …, 2, with \
             n = 40,000 samples; and 10⁻⁵ for the integral, with a step of 10⁻³.",
        ],
        solution: include_str!("../solutions/e19_density_check.rs"),
        grader: || checks::density(e19_density_check::accepts),
    },
    Exercise {
        file: "e20_mask_check",
        title: "a check of random numbers",
        chapter: "right",
        hints: &[
            "With p = ½, p and 1 − p are the same; and the right frequency does not mean \
             independence.",
            "Independent events occur together with the product of their probabilities: (1 − p)² \
             for two neighbours that are both kept, and for one entry under two seeds.",
            "Neighbours: masks.chunks(2). Tolerance: 4 √(P (1 − P)/n), for n pairs of probability \
             P.",
        ],
        solution: include_str!("../solutions/e20_mask_check.rs"),
        grader: || checks::masks(e20_mask_check::accepts),
    },
];
