//! Images between the reference engine and ours, in both directions: by archive and through a registry. Ids, digests and
//! DiffIDs stay, and so does every file. Needs both engines (`SHOAL_REFERENCE`).

use crate::platforms::Layout;
use crate::round_trips::{Folder, digest, identity};
use shoal_tests_conformance::Engine;
use shoal_tests_harness::{Guests, Registry, busybox_tar};

/// Ours and the reference.
fn both() -> Option<[Engine; 2]> {
    Engine::reference().map(|reference| [Engine::ours(), reference])
}

/// One layer, or three with what layers are there for: links, owners, long names, a folder made anew, files gone.
fn make(e: &Engine, name: &str, layers: usize) {
    let tar = busybox_tar();
    let below = match layers {
        1 => name.to_owned(),
        _ => format!("{name}-base"),
    };
    let tar = tar.to_str().expect("a path");
    e.ok(&["import", "-m", &e.prefix, "--change", "CMD [\"sh\"]", tar, &below]);
    if layers == 1 {
        return;
    }
    let long = "n".repeat(200);
    let steps = [
        format!(
            "mkdir -p /tree/old /tree/deep/{long} && cd /tree && echo one > deep/{long}/{long} && ln deep/{long}/{long} hard \
             && ln -s ../tree/hard soft && ln -s /nowhere dangling && echo x > set && chown 1000:2000 set && chmod 4755 set \
             && echo old > old/file && mkfifo pipe && head -c 300000 /dev/urandom > random && touch -d '2001-02-03 04:05:06' set"
        ),
        "cd /tree && rm -r /www old && mkdir old && echo new > old/other && rm dangling && chmod 700 random"
            .to_owned(),
    ];
    // Each under a name of its own, so that none is left without one: it would keep its layers.
    let names = [below.clone(), format!("{name}-step"), name.to_owned()];
    for (step, names) in steps.iter().zip(names.windows(2)) {
        let [from, name] = names else { continue };
        let container = e.ok(&["run", "-d", from, "sh", "-c", step]);
        assert_eq!(e.ok(&["wait", &container]), "0", "{step}");
        e.ok(&["commit", &container, name]);
        e.ok(&["rm", &container]);
    }
    e.ok(&["rmi", &names[1], &names[0]]);
}

/// Every file below /tree and /home with its kind, mode, owner, time, links and content. Two for one image are the same.
fn tree(e: &Engine, name: &str) -> String {
    let script = "cd /; ls -d www 2>&1; for f in $(find tree home | sort); do stat -c '%n %f %u:%g %Y' $f; \
        [ -f $f ] && stat -c %h $f && md5sum < $f; [ -h $f ] && readlink $f; done; true";
    e.ok(&["run", "--rm", "--network", "none", name, "sh", "-c", script])
}

/// From one engine by `save` to the other by `load`, and on by `save` to where it came from.
fn by_archive(from: &Engine, to: &Engine, layers: usize) {
    let folder = Folder::new(from, "both-ways");
    let name = format!("{}/both-{layers}:v1", from.prefix);
    make(from, &name, layers);
    let (was, files) = (identity(from, &name), tree(from, &name));
    let (there, back) = (folder.at("there.tar"), folder.at("back.tar"));
    from.ok(&["save", "-o", &there, &name]);
    assert_eq!(to.ok(&["load", "-i", &there]), format!("Loaded image: {name}"));
    assert_eq!(
        (identity(to, &name), tree(to, &name)),
        (was.clone(), files.clone())
    );
    to.ok(&["save", "-o", &back, &name]);
    to.ok(&["rmi", &name]);
    from.ok(&["rmi", &name]);
    assert_eq!(from.ok(&["load", "-i", &back]), format!("Loaded image: {name}"));
    assert_eq!((identity(from, &name), tree(from, &name)), (was.clone(), files));
    from.ok(&["rmi", &name]);
    // An archive of both: what one engine wrote is loaded twice, by id alone too.
    let id = was.split(' ').next().expect("an id");
    assert_eq!(to.ok(&["load", "-i", &back]), format!("Loaded image: {name}"));
    to.ok(&["save", "-o", &there, id]);
    to.ok(&["rmi", &name]);
    assert_eq!(from.ok(&["load", "-i", &there]), format!("Loaded image ID: {id}"));
    from.ok(&["rmi", id]);
    eprintln!("{layers} layers: {was}");
}

#[test]
fn archives_of_ours_and_of_the_reference_are_the_same_image() {
    let Some([ours, reference]) = both() else { return };
    for layers in [1, 3] {
        by_archive(&ours, &reference, layers);
        by_archive(&reference, &ours, layers);
    }
}

/// One registry on the loopback of both.
fn registry([ours, reference]: &[Engine; 2]) -> Option<[Registry; 2]> {
    let first = ours.registry(Guests::Everybody)?;
    let second = first.beside(|program| reference.command_of(program));
    Some([first, second])
}

#[test]
fn what_one_engine_pushes_the_other_pulls() {
    let Some(engines) = both() else { return };
    let Some([r, _beside]) = registry(&engines) else {
        return;
    };
    let [ours, reference] = &engines;
    for (from, to, who) in [(ours, reference, "ours"), (reference, ours, "theirs")] {
        for layers in [1, 3] {
            let name = r.name(&format!("{who}-{layers}:v1"));
            make(from, &name, layers);
            let (was, files) = (identity(from, &name), tree(from, &name));
            from.ok(&["push", "-q", &name]);
            let pushed = digest(from, &name);
            to.ok(&["pull", "-q", &name]);
            assert_eq!(
                (identity(to, &name), digest(to, &name)),
                (was.clone(), pushed.clone())
            );
            assert_eq!(tree(to, &name), files);
            // On from there under another name, and back: each has the digest that the other gave.
            let other = r.name(&format!("{who}-{layers}-back:v1"));
            to.ok(&["tag", &name, &other]);
            to.ok(&["push", "-q", &other]);
            let onward = digest_in(to, &other);
            to.ok(&["rmi", &name, &other]);
            from.ok(&["rmi", &name]);
            from.ok(&["pull", "-q", &other]);
            assert_eq!(
                (identity(from, &other), digest(from, &other)),
                (was.clone(), onward.clone())
            );
            assert_eq!(tree(from, &other), files);
            from.ok(&["rmi", &other]);
            // What we pulled we push as it came.
            if to.is_reference() {
                eprintln!("{who}, {layers} layers: {pushed}, pushed on by the reference {onward}: {was}");
            } else {
                assert_eq!(onward, pushed);
                eprintln!("{who}, {layers} layers: {pushed}: {was}");
            }
        }
    }
}

/// The digest of a name's own repository, where the image has several.
fn digest_in(e: &Engine, name: &str) -> String {
    let repository = name.rsplit_once(':').expect("a tag").0;
    let all = e.ok(&["image", "inspect", "-f", "{{join .RepoDigests \"\\n\"}}", name]);
    let mut own = all.lines().filter_map(|one| one.split_once('@'));
    let found = own.find(|(of, _)| *of == repository);
    found.map(|(_, digest)| digest.to_owned()).expect("a digest")
}

#[test]
fn an_index_of_ours_is_what_the_reference_pulls() {
    let Some(engines) = both() else { return };
    let Some([r, _beside]) = registry(&engines) else {
        return;
    };
    let [ours, reference] = &engines;
    let folder = Folder::new(ours, "both-index");
    let name = r.name("both-index:v1");
    let layout = Layout::new(ours, &name, "both-index");
    ours.ok(&["load", "-i", layout.path()]);
    ours.ok(&["push", "-q", &name]);
    let of = |platform: &str| {
        let form = "{{.Id}} {{json .RootFS.Layers}}";
        ours.ok(&["image", "inspect", "--platform", platform, "-f", form, &name])
    };
    for platform in ["linux/arm64", "linux/amd64"] {
        let own = of(platform);
        reference.ok(&["pull", "-q", "--platform", platform, &name]);
        assert_eq!(
            (identity(reference, &name), digest(reference, &name)),
            (own.clone(), layout.index.clone())
        );
        let (there, alone) = (folder.at("there.tar"), folder.at("alone.tar"));
        reference.ok(&["save", "-o", &there, &name]);
        reference.ok(&["rmi", &name]);
        // One platform of ours, as the reference loads it.
        ours.ok(&["save", "--platform", platform, "-o", &alone, &name]);
        assert_eq!(
            reference.ok(&["load", "-i", &alone]),
            format!("Loaded image: {name}")
        );
        assert_eq!(identity(reference, &name), own);
        // And what it saved of it, as we load it.
        let other = Engine::ours();
        assert_eq!(other.ok(&["load", "-i", &there]), format!("Loaded image: {name}"));
        assert_eq!(identity(&other, &name), own);
        // A whole index of ours: the reference takes this machine's image.
        if platform == "linux/amd64" {
            let whole = folder.at("whole.tar");
            reference.ok(&["rmi", &name]);
            ours.ok(&["save", "-o", &whole, &name]);
            assert_eq!(
                reference.ok(&["load", "-i", &whole]),
                format!("Loaded image: {name}")
            );
            assert_eq!(identity(reference, &name), own);
        }
        reference.ok(&["rmi", &name]);
        eprintln!("{platform} of {}: {own}", layout.index);
    }
}
