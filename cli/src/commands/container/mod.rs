//! `shoal container …` and its short forms.

mod attach;
mod checkpoint;
mod cp;
mod exec;
pub mod inspect;
pub mod logs;
pub mod ls;
mod options;
mod port;
pub mod prune;
mod rootfs;
mod run;
mod simple;
mod stats;
mod top;
mod update;

use crate::app::Leaf;

pub fn leaves() -> Vec<Leaf> {
    let mut all = simple::leaves();
    all.extend(rootfs::leaves());
    all.extend(checkpoint::leaves());
    all.extend([
        run::create(),
        run::run(),
        run::start(),
        attach::leaf(),
        cp::leaf(),
        exec::leaf(),
        inspect::leaf(),
        logs::leaf(),
        ls::leaf(),
        port::leaf(),
        prune::leaf(),
        stats::leaf(),
        top::leaf(),
        update::leaf(),
    ]);
    all
}
