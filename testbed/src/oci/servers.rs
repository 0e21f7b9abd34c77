//! Images of servers, of what this machine has: with programs and files where the images of their makers have them.

use std::{fs, path::Path};

use super::{
    Archive, ImageName, Layer,
    program::{self, system_for},
};
use crate::{TestbedError, cache::file_error, directory::Directory, kafka, redis};

/// Where Apache's image has the jars of Kafka.
const KAFKA_JARS: &str = "/opt/kafka/libs";

/// Where Docker's official image has the server.
const REDIS_PATH: &str = "/usr/local/bin/redis-server";

/// What of Java runs programs; the rest compiles and explains them.
const JAVA_PARTS: [&str; 4] = ["bin/java", "conf", "lib", "release"];

/// An image with Apache Kafka in `/opt/kafka/libs` and this machine's Java on the path.
///
/// # Errors
/// Java or Kafka cannot be had, or Java needs what an image cannot hold.
pub fn of_kafka(name: ImageName) -> Result<Archive, TestbedError> {
    let (java, jars) = kafka::java_and_jars()?;
    let java = fs::canonicalize(&java).map_err(|source| file_error("follow", &java, source))?;
    let home = java.ancestors().nth(2).expect("Java is called bin/java in its home").to_owned();
    // The program is small; nearly all of Java is in this library, which it finds by its own place.
    let machine = home.join("lib/server/libjvm.so");
    let system = system_for(&java, Some(&home))?.with_all(system_for(&machine, Some(&home))?);
    let (mut runtime, place) = (Layer::new(), home.display());
    for part in JAVA_PARTS {
        runtime = runtime.tree(&format!("{place}/{part}"), &home.join(part), runs_programs)?;
    }
    let kafka = Layer::new().tree(KAFKA_JARS, &jars, |_| true)?;
    let archive = Archive::new(name).layer(system).layer(runtime).layer(kafka);
    Ok(archive.entrypoint(&["java"]).variable("PATH", &format!("{place}/bin")))
}

/// An image with this machine's Redis on the path.
///
/// # Errors
/// Redis cannot be had, or needs what an image cannot hold.
pub fn of_redis(name: ImageName) -> Result<Archive, TestbedError> {
    let directory = Directory::new()?;
    program::of_program(name, &redis::link_server(directory.path())?, REDIS_PATH)
}

/// Whether a file of Java's home is of use without a compiler. Archives of classes hold for files of the same age alone,
/// and in an image all are as old as 1970.
fn runs_programs(path: &Path) -> bool {
    let is_named = |name: &str| path.file_name().is_some_and(|of| of == name);
    !is_named("ct.sym") && !is_named("src.zip") && path.extension().is_none_or(|end| end != "jsa")
}
