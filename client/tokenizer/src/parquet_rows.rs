//! Rows of a Parquet file as JSON objects, of the columns that hold a document.

use std::fs::File;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::schema::types::{Type, TypePtr};

use crate::{Failure, Outcome};

pub struct Rows {
    rows: RowIter<'static>,
}

fn invalid(error: impl std::fmt::Display) -> Failure {
    Failure::Invalid(format!("not a Parquet file that can be read: {error}"))
}

impl Rows {
    /// Only the columns of these names are read; there must be one.
    pub fn open(path: &str, columns: &[&str]) -> Outcome<Rows> {
        let file = File::open(path).map_err(|error| Failure::Invalid(error.to_string()))?;
        let reader = SerializedFileReader::new(file).map_err(invalid)?;
        let schema = reader.metadata().file_metadata().schema().clone();
        let fields = schema.get_fields();
        let wanted: Vec<TypePtr> =
            fields.iter().filter(|field| columns.contains(&field.name())).cloned().collect();
        if wanted.is_empty() {
            let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
            return Err(Failure::Invalid(format!(
                "no column {}; it has {}",
                columns.join(" or "),
                names.join(", ")
            )));
        }
        let projection =
            Type::group_type_builder(schema.name()).with_fields(wanted).build().map_err(invalid)?;
        let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection)).map_err(invalid)?;
        Ok(Rows { rows })
    }

    /// None after the last.
    pub fn next(&mut self) -> Outcome<Option<String>> {
        match self.rows.next() {
            None => Ok(None),
            Some(row) => Ok(Some(row.map_err(invalid)?.to_json_value().to_string())),
        }
    }
}
