//! A grid of results: a row per configuration, a column per seed.
use super::lab::{Cell, Lab};
use crate::error::Result;
use crate::report::verdict::Mean;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::{Deref, Index};

/// One configuration and its results, one per seed.
pub struct Row<K, R> {
    /// Name of the row; its cells are `KEY-SEED`.
    pub key: String,
    /// The configuration.
    pub input: K,
    /// The result of each seed.
    pub results: Vec<R>,
}

/// Rows in the order of the tables; `grid["bhn-8"]` is the row of that name.
pub struct Grid<K, R>(Vec<Row<K, R>>);

impl<K, R> Row<K, R> {
    /// `f` of each seed's result.
    pub fn values(&self, f: impl Fn(&R) -> f64) -> Vec<f64> {
        self.results.iter().map(f).collect()
    }

    /// Mean of `f` over seeds, with its standard error.
    pub fn mean(&self, f: impl Fn(&R) -> f64) -> Mean {
        Mean::of(&self.values(f))
    }
}

impl<K, R> Grid<K, R> {
    /// The row `key`, if the grid has it.
    pub fn get(&self, key: &str) -> Option<&Row<K, R>> {
        self.iter().find(|row| row.key == key)
    }

    /// Every result with its row and seed, row by row.
    pub fn results(&self) -> impl Iterator<Item = (&Row<K, R>, usize, &R)> {
        let of = |row| move |(seed, result)| (row, seed, result);
        self.iter().flat_map(move |row| row.results.iter().enumerate().map(of(row)))
    }

    /// Mean over seeds of `f` of two results with the same seed: that of row `a` and that of row
    /// `b`.
    pub fn paired(&self, a: &str, b: &str, f: impl Fn(&R, &R) -> f64) -> Mean {
        let pairs = self[a].results.iter().zip(&self[b].results);
        Mean::of(&pairs.map(|(a, b)| f(a, b)).collect::<Vec<_>>())
    }

    /// Add a row whose results are not cached in cells.
    pub fn push(&mut self, key: &str, input: K, results: Vec<R>) {
        self.0.push(Row { key: key.into(), input, results });
    }
}

impl<K, R> Deref for Grid<K, R> {
    type Target = [Row<K, R>];

    fn deref(&self) -> &[Row<K, R>] {
        &self.0
    }
}

impl<K, R> Index<&str> for Grid<K, R> {
    type Output = Row<K, R>;

    fn index(&self, key: &str) -> &Row<K, R> {
        self.get(key).unwrap_or_else(|| panic!("grid: no row `{key}`"))
    }
}

/// The name of the row, or of the run, that MC dropout evaluates: that of dropout, without `mc-`.
/// Other names are their own.
pub fn source(name: &str) -> &str {
    name.strip_prefix("mc-").unwrap_or(name)
}

impl Lab<'_> {
    /// `compute(input, seed, name)` for every row and every seed. The result is cached in the cell
    /// `KEY-SEED`; `name` is also `KEY-SEED`, for use as the key of a [`Lab::run`].
    ///
    /// # Errors
    /// As [`Lab::cells`].
    pub fn grid<K: Sync, R: Serialize + DeserializeOwned + Send>(
        &self,
        rows: impl IntoIterator<Item = Cell<K>>,
        compute: impl Fn(&K, u64, &str) -> Result<R> + Sync,
    ) -> Result<Grid<K, R>> {
        self.ragged_grid(rows.into_iter().map(|row| (row, self.seeds)), "", compute)
    }

    /// [`Lab::grid`] with a number of seeds for each row, and cells named `KEY-SEED` followed by
    /// `suffix`. The suffix identifies what the results depend on although the runs `KEY-SEED` do
    /// not, such as the available data sets. Cells that evaluate the same run ([`source`]) are
    /// computed one after another.
    ///
    /// # Errors
    /// As [`Lab::cells`].
    pub fn ragged_grid<K: Sync, R: Serialize + DeserializeOwned + Send>(
        &self,
        rows: impl IntoIterator<Item = (Cell<K>, u64)>,
        suffix: &str,
        compute: impl Fn(&K, u64, &str) -> Result<R> + Sync,
    ) -> Result<Grid<K, R>> {
        let rows: Vec<_> = rows.into_iter().collect();
        let cells = rows.iter().flat_map(|(Cell { key, cost, input }, seeds)| {
            (0..*seeds).map(move |seed| {
                let name = format!("{key}-{seed}");
                Cell { key: format!("{name}{suffix}"), cost: *cost, input: (input, seed, name) }
            })
        });
        let cells: Vec<_> = cells.collect();
        let results = self.cells(&cells, |(input, seed, name)| {
            self.alone(source(name), || compute(input, *seed, name))
        })?;
        let mut results = results.into_iter();
        let rows = rows.into_iter().map(|(Cell { key, input, .. }, seeds)| Row {
            key,
            input,
            results: results.by_ref().take(seeds as usize).collect(),
        });
        Ok(Grid(rows.collect()))
    }

    /// [`Lab::ragged_grid`], and the names of the cells that it lacks: in a lab that does not
    /// [compute](Self::computes), rows have the seeds before the first that is not cached, and rows
    /// without any are left out.
    ///
    /// # Errors
    /// As [`Lab::cells`].
    pub fn available_grid<K: Sync, R: Serialize + DeserializeOwned + Send>(
        &self,
        rows: impl IntoIterator<Item = (Cell<K>, u64)>,
        compute: impl Fn(&K, u64, &str) -> Result<R> + Sync,
    ) -> Result<(Grid<K, R>, Vec<String>)> {
        let mut lacking = vec![];
        let available = rows.into_iter().filter_map(|(cell, seeds)| {
            let name = |seed| format!("{}-{seed}", cell.key);
            let is_available = |seed: &u64| self.computes || self.has(&name(*seed));
            let available = (0..seeds).take_while(is_available).count() as u64;
            lacking.extend((available..seeds).map(name));
            (available > 0).then_some((cell, available))
        });
        let available: Vec<_> = available.collect();
        Ok((self.ragged_grid(available, "", compute)?, lacking))
    }

    /// `compute(i)` for `i` from 0 to `n − 1`, cached in cells `KEY-i` of equal cost.
    ///
    /// # Errors
    /// As [`Lab::cells`].
    pub fn repeat<R: Serialize + DeserializeOwned + Send>(
        &self,
        key: &str,
        n: u64,
        compute: impl Fn(u64) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let cell = |i| Cell { key: format!("{key}-{i}"), cost: 1., input: i };
        self.cells(&(0..n).map(cell).collect::<Vec<_>>(), |&i| compute(i))
    }
}
