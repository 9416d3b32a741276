//! Loops over tasks, on all threads.
use rayon::prelude::*;
use std::sync::Mutex;

/// `f(task)` for each task, on all threads and in any order.
///
/// The loop is type-erased before it reaches rayon, so that rayon's scheduler is compiled once and
/// not once for each loop.
pub fn for_each<I: Send>(tasks: impl Iterator<Item = I>, f: impl Fn(I) + Sync) {
    let tasks: Vec<_> = tasks.map(|task| Mutex::new(Some(task))).collect();
    run(tasks.len(), &|i| {
        let task = tasks[i].lock().expect("no panic holds the lock").take();
        f(task.expect("each task runs once"));
    });
}

/// `f(task)` of each task, in the order of the tasks.
pub fn map<I: Send, O: Send>(tasks: impl Iterator<Item = I>, f: impl Fn(I) -> O + Sync) -> Vec<O> {
    let mut tasks: Vec<_> = tasks.map(|task| (Some(task), None)).collect();
    for_each(tasks.iter_mut(), |(task, result)| *result = task.take().map(&f));
    tasks.into_iter().filter_map(|(_, result)| result).collect()
}

fn run(n: usize, task: &(dyn Fn(usize) + Sync)) {
    match n {
        1 => task(0),
        _ => (0..n).into_par_iter().for_each(task),
    }
}
