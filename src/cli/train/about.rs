//! What is trained, in a phrase.
use crate::bayes::FlowKind;
use crate::primary::Layer;
use crate::run::config::{Config, DropoutKind, Method, Theta};

/// The method, its flow and the layers of the network.
pub fn about(config: &Config) -> String {
    let layers: Vec<_> = config.primary.layers.iter().flatten().map(Layer::to_string).collect();
    let network = layers.join(", ");
    let about = match Method::from(config) {
        Method::Point => "maximum likelihood of a network".into(),
        Method::Dropout(DropoutKind::Plain, _) => "network with dropout".into(),
        Method::Dropout(DropoutKind::Mc, _) => "network averaged over dropout's masks".into(),
        Method::Dropout(DropoutKind::Concrete, _) => "network with learned dropout rates".into(),
        Method::Ensemble(ensemble) => format!("ensemble of {} networks", ensemble.members),
        Method::MeanField(_) => "Bayes by Backprop over all weights of a network".into(),
        Method::Hypernet(theta, flow) => {
            let flow = match (flow.kind, flow.couplings, theta) {
                (FlowKind::Linear, ..) => format!("{} linear layers", flow.layers),
                (_, 0, Theta::Scales) => {
                    return format!("Bayes by Backprop on the scales of a network ({network})");
                }
                (_, 0, Theta::Weights) => "an elementwise flow".into(),
                (FlowKind::Realnvp, t, _) => format!("RealNVP, {t} couplings"),
                (FlowKind::Iaf, t, _) => format!("IAF, {t} steps"),
                (FlowKind::Planar, t, _) => format!("{t} planar steps"),
            };
            let theta = match theta {
                Theta::Scales => "the scales",
                Theta::Weights => "all weights",
            };
            format!("Bayesian hypernetwork ({flow}) over {theta} of a network")
        }
    };
    format!("{about} ({network})")
}
