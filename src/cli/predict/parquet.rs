//! Predictions as a Parquet file, behind the feature `parquet`.
use super::columns::Columns;
use std::io;

/// The bytes of a file with one row group: integers, doubles and texts, none of them optional.
#[cfg(feature = "parquet")]
pub fn file(columns: &Columns) -> io::Result<Vec<u8>> {
    use super::columns::Column;
    use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    use parquet::errors::Result;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::types::Type;
    use std::sync::Arc;

    let field = |(name, column): &(String, Column)| -> Result<Arc<Type>> {
        let (physical, logical) = match column {
            Column::Index(_) => (Physical::INT64, None),
            Column::Number(_) => (Physical::DOUBLE, None),
            Column::Text(_) | Column::Set(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let field = Type::primitive_type_builder(name, physical).with_logical_type(logical);
        field.with_repetition(Repetition::REQUIRED).build().map(Arc::new)
    };
    let write = || -> Result<Vec<u8>> {
        let fields = columns.iter().map(field).collect::<Result<_>>()?;
        let schema = Type::group_type_builder("predictions").with_fields(fields).build()?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut file = SerializedFileWriter::new(vec![], Arc::new(schema), Arc::new(properties))?;
        let mut group = file.next_row_group()?;
        for (_, column) in columns {
            let mut out = group.next_column()?.expect("as many columns as fields");
            match column {
                Column::Index(v) => {
                    let v: Vec<_> = v.iter().map(|&i| i as i64).collect();
                    out.typed::<Int64Type>().write_batch(&v, None, None)?;
                }
                Column::Number(v) => {
                    out.typed::<DoubleType>().write_batch(v, None, None)?;
                }
                Column::Text(_) | Column::Set(_) => {
                    let texts = (0..column.rows()).map(|row| column.text(row));
                    let v: Vec<ByteArray> = texts.map(|text| text.as_str().into()).collect();
                    out.typed::<ByteArrayType>().write_batch(&v, None, None)?;
                }
            }
            out.close()?;
        }
        group.close()?;
        file.into_inner()
    };
    write().map_err(io::Error::other)
}

/// No file.
///
/// # Panics
/// Always: the format was refused before.
#[cfg(not(feature = "parquet"))]
pub fn file(_: &Columns) -> io::Result<Vec<u8>> {
    unreachable!("built without the feature parquet")
}

#[cfg(all(test, feature = "parquet"))]
mod tests {
    use super::*;
    use crate::cli::predict::columns::Column;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    #[test]
    fn file_is_read_back() {
        let text = |text: &[&str]| text.iter().map(|text| (*text).to_string()).collect();
        let columns = vec![
            ("index".to_string(), Column::Index(vec![7, 8])),
            ("mean".to_string(), Column::Number(vec![-0.1, 1e300])),
            ("label".to_string(), Column::Text(text(&["é", ""]))),
            ("set".to_string(), Column::Set(vec![text(&["a", "b"]), vec![]])),
        ];
        let reader =
            SerializedFileReader::new(bytes::Bytes::from(file(&columns).unwrap())).unwrap();
        let rows = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string());
        let expected = [
            r#"{index: 7, mean: -1E-1, label: "é", set: "a|b"}"#,
            r#"{index: 8, mean: 1E300, label: "", set: ""}"#,
        ];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }
}
