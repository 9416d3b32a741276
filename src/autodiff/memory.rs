//! Reuse of a finished tape's allocations by the next tape.
use crate::autodiff::gradient::Gradient;
use crate::autodiff::tensor::Tensor;
use crate::kernels::scalar::Scalar;
use std::cell::RefCell;
use std::collections::HashMap;

/// Allocations of a finished tape, by length.
///
/// A training step has tensors of the same shapes as the step before. If memory were not reused,
/// each tensor would be a new allocation, whose pages the system first has to fault in and clear.
#[derive(Clone, Debug)]
pub struct Storage<T>(HashMap<usize, Vec<Vec<T>>>);

impl<T> Default for Storage<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Scalar> Storage<T> {
    /// The minimum length of an allocation that is kept; smaller ones are left to the allocator.
    const MIN_LEN: usize = 1 << 10;

    /// Keep the allocation of a tensor, unless another tensor shares it.
    pub fn keep(&mut self, tensor: Tensor<T>) {
        if tensor.len() >= Self::MIN_LEN
            && let Some(entries) = tensor.into_entries()
        {
            self.0.entry(entries.len()).or_default().push(entries);
        }
    }

    /// Keep the allocations of a gradient.
    pub fn keep_gradient(&mut self, gradient: Gradient<T>) {
        gradient.into_tensors().for_each(|g| self.keep(g));
    }

    fn take(&mut self, len: usize) -> Option<Vec<T>> {
        self.0.get_mut(&len)?.pop()
    }
}

/// The allocator of one tape.
#[derive(Debug)]
pub(crate) struct Memory<T> {
    /// Allocations of the previous tape. Those that this tape does not use are freed with it.
    previous: RefCell<Storage<T>>,
    /// Allocations that this tape has finished with.
    current: RefCell<Storage<T>>,
}

impl<T> From<Storage<T>> for Memory<T> {
    fn from(storage: Storage<T>) -> Self {
        Self { previous: RefCell::new(storage), current: RefCell::default() }
    }
}

impl<T: Scalar> Memory<T> {
    /// A tensor of this shape with unspecified entries.
    pub(crate) fn alloc(&self, shape: &[usize]) -> Tensor<T> {
        let n = shape.iter().product();
        let reused =
            self.current.borrow_mut().take(n).or_else(|| self.previous.borrow_mut().take(n));
        let entries = reused.unwrap_or_else(|| vec![T::zero(); n]);
        Tensor::from_shape_vec(shape, entries).expect("as many entries")
    }

    /// Make the allocation of a tensor available again.
    pub(crate) fn free(&self, tensor: Tensor<T>) {
        self.current.borrow_mut().keep(tensor);
    }

    /// The allocations of this tape.
    pub(crate) fn into_storage(self) -> Storage<T> {
        self.current.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::{Tape, Var};
    use crate::kernels::conv::Window;

    /// The bits of values and gradients of all operations that write to reused allocations, and the
    /// storage of the tape. Most gradients have one contribution, which must write every entry.
    fn network(storage: Storage<f64>) -> (Vec<u64>, Storage<f64>) {
        let tape = Tape::reusing(storage);
        let leaf = |shape: &[usize], seed: usize| {
            let entry = |i: usize| ((i * i + seed) as f64).sin();
            let entries = (0..shape.iter().product()).map(entry).collect();
            tape.leaf(Tensor::from_shape_vec(shape, entries).unwrap())
        };
        let leaves = [
            leaf(&[40, 60], 1),
            leaf(&[50, 60], 2),
            leaf(&[2, 50], 3),
            leaf(&[50], 4),
            leaf(&[30, 50], 5),
            leaf(&[30], 6),
            leaf(&[30, 1100], 7),
            leaf(&[1100, 2], 8),
        ];
        let [x, v, s, b, w, c, wide, tall] = leaves;
        let [scale, own] = [s / v.row_norms(), s].map(|s| s.reshape(&[2, 1, 50]));
        let h = x.matmul_t(v).affine_relu(scale, b);
        let y = h.affine(own, b).linear(w, c).tanh().reshape(&[80, 30]).matmul(wide);
        let image = x.reshape(&[2, 8, 15, 10]);
        let (window, kernel) = (Window::new([1, 6]), v.reshape(&[1, 50, 60]));
        let convolved = image.conv2d(v, window) + image.conv2d_each(kernel, window);
        let pool = Window::squares(2);
        let pooled = (convolved.max_pool2d(pool) * convolved.avg_pool2d(pool)).sum();
        let one = || v * 2. + 1.;
        let both = Var::stack(&[one(), one().square()], 0);
        let moved = [
            one().slice(0, 5..45),
            one().slice(1, 5..55),
            one().masked((0..3000).map(|i| i % 3 > 0).collect::<Vec<_>>()),
            one().gather(0, [3, 3, 7]),
            Var::concat(&[one(), one()], 1),
            one().permute_axes(&[1, 0]),
            one().max_axis(0),
            one().sum_axis(1),
            one().log_softmax(),
            (x * 2.).matmul_each(both),
            one().reshape(&[2, 25, 60]).matmul_each(both),
            one().reshape(&[2, 25, 60]) / (one().reshape(&[2, 25, 60]).square() + 1.),
            one().root([], |y, []| (y * y * y + y, 3. * y * y + 1., [])),
            one().standard_normal_log_prob(),
            one().relu().softplus() - one(),
        ];
        let moved = moved.map(|y| (y * y).sum()).into_iter().reduce(|a, b| a + b).unwrap();
        let loss = (y * tall.row_norms()).sum() + (h * h).sum() + x.sum() + pooled + moved;
        let grads = loss.backward();
        let values = [h, y, loss].map(Var::value);
        let grads: Vec<_> = leaves.iter().map(|&x| grads.wrt(x).unwrap().clone()).collect();
        let numbers = values.iter().flatten().chain(grads.iter().flatten());
        let bits = numbers.map(|x| x.to_bits()).collect();
        drop((values, grads));
        (bits, tape.into_storage())
    }

    #[test]
    fn reused_allocations_do_not_leak_old_entries() {
        let (fresh, mut storage) = network(Storage::default());
        let kept = storage.0.values().map(Vec::len).sum::<usize>();
        assert!(kept > 8, "{kept} tensors are too few to test");
        storage.0.values_mut().flatten().for_each(|old| old.fill(f64::NAN));
        let (again, mut storage) = network(storage);
        assert!(again == fresh);
        storage.0.values_mut().flatten().for_each(|old| old.fill(f64::INFINITY));
        assert!(network(storage).0 == fresh);
    }

    #[test]
    fn allocations_of_gradients_are_kept() {
        let tape = Tape::<f64>::default();
        let (large, small) =
            (tape.leaf(Tensor::ones(vec![1024])), tape.leaf(Tensor::ones(vec![1023])));
        let mut grads = (large.exp().sum() + small.exp().sum()).backward();
        let mut storage = Storage::default();
        for x in [large, small] {
            storage.keep_gradient(grads.take(x).unwrap());
        }
        assert_eq!((storage.0.len(), storage.0[&1024].len()), (1, 1));
    }

    /// A tape frees the allocations that it did not reuse: varying shapes do not accumulate.
    #[test]
    fn unused_allocations_are_freed() {
        let mut storage = Storage::<f64>::default();
        for n in (2000..4000).step_by(100) {
            storage.keep(Tensor::zeros(vec![n + 1]));
            let tape = Tape::reusing(storage);
            for n in [n, 1023] {
                tape.constant(tape.alloc(&[n]));
            }
            storage = tape.into_storage();
            // The larger of this tape's two tensors.
            assert!(storage.0.iter().all(|(size, kept)| *size == n && kept.len() == 1));
            assert_eq!(storage.0.len(), 1);
        }
        // An allocation that another tensor shares is not reused.
        let tape = Tape::reusing(storage);
        let held = tape.constant(tape.alloc(&[2000])).value();
        assert!(tape.into_storage().0.is_empty() && held.len() == 2000);
    }

    #[test]
    fn an_allocation_is_reused_once() {
        let mut storage = Storage::<f64>::default();
        let old = Tensor::zeros(vec![2000]);
        let at = old.as_slice().as_ptr();
        storage.keep(old);
        let tape = Tape::reusing(storage);
        let same = tape.alloc(&[40, 50]);
        assert!(same.as_slice().as_ptr() == at && tape.alloc(&[40, 50]).as_slice().as_ptr() != at);
    }
}
