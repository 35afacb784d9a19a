use super::*;

use serde_json::json;

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

fn put(folder: &Path, name: &str, data: &Value) {
    write(folder, &format!("{name}.status"), "ok\n12\n\n");
    write(folder, &format!("{name}.json"), &data.to_string());
}

fn conformance(digest: &str) -> Value {
    json!({ "machine": { "cpu": "Host", "cores": 16, "memory_mib": 2048 }, "backend": "x",
        "suites": [{ "suite": "nets", "cases": 3, "digest": digest }] })
}

/// A machine with a card, on which one part failed, one has no device, and one left no report.
fn sample(folder: &Path) {
    write(
        folder,
        "facts",
        "commit\tabc123\nsha256 of focus\t00ff\nodd line\nnvidia-smi\tCard 9000, 580.1, 700.00 W, 2000 MHz, 3 MHz\n",
    );
    let adapter = json!({ "name": "Card 9000", "driver": "13.0", "kind": "GPU", "limits": { "l2": 50, "multiprocessors": 100 },
        "compiler": "none" });
    let kernels = json!([{ "kernel": "focus/gather", "entries": [
        { "entry": "gather_equal", "registers": 40, "local_bytes": 0, "shared_bytes": 1024 }] }]);
    let doctor = json!({ "backends": [
        { "backend": "cpu", "state": "ready", "detail": "two | threads", "adapter": null },
        { "backend": "cuda:0", "state": "ready", "detail": "fine", "adapter": adapter, "kernels": kernels }] });
    put(folder, "doctor", &doctor);
    put(folder, "conformance-cpu", &conformance("aa"));
    put(folder, "conformance-cuda", &conformance("aa"));
    write(
        folder,
        "conformance-wgpu.status",
        "not-run\n0\nno adapter was found\n",
    );
    write(
        folder,
        "racecheck-nets.status",
        "failed\n540\nnot done after 540 s\n",
    );
    write(folder, "hash-cpu.status", "ok\n1\n\n");
    let device = json!({ "adapter": "Card 9000", "copy_bandwidth": 4.0e12 });
    let row = json!({ "what": "sum_rec, depth 24", "units": 1000, "run": { "best": 0.5 },
        "mega_units": 20000.0, "of_copy": 0.25 });
    let uncounted = json!({ "what": "cnots, depth 20", "units": 10, "run": { "best": 0.5 }, "mega_units": 40000.0 });
    put(
        folder,
        "nets-cuda",
        &json!({ "device": device, "rows": [row, uncounted] }),
    );
    let rows = json!([{ "threads": 2, "reduction": { "best": 0.125 }, "mega_interactions": 60.5 }]);
    let program =
        json!({ "name": "sum_rec", "sizes": [["depth", 20]], "interactions": 7, "rows": rows });
    put(folder, "nets-cpu", &json!({ "programs": [program] }));
    let rows = json!([
        { "kernel": "exact π", "threads": 1, "iteration": { "best": 0.02 }, "giga_arcs": 1.5, "of_floor": 0.9 },
        { "kernel": "f32 pull", "threads": 1, "iteration": { "best": 0.03 }, "giga_arcs": 1.0, "of_floor": 0.5 }]);
    put(folder, "focus-cpu", &json!({ "arcs": 31, "rows": rows }));
    let row = json!({ "what": "48 further iterations", "units": 1000, "run": { "best": 0.5 }, "mega_units": 3000.0 });
    put(
        folder,
        "focus-cuda",
        &json!({ "device": { "adapter": "Card 9000" }, "rows": [row] }),
    );
    let rival = json!({ "scale": 20, "edges": 1_000_000, "spmv_seconds": 0.001, "iteration_seconds": 0.002 });
    put(folder, "cusparse-focus", &rival);
    write(
        folder,
        "cusparse-focus-large.status",
        "not-run\n1\nno CuPy or no device: none\n",
    );
}

#[test]
fn every_part_is_there_with_what_became_of_it() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let record = read(folder.path()).unwrap();
    let names: Vec<&str> = record.parts.iter().map(|part| part.name).collect();
    assert_eq!(names, PARTS);
    let of = |name: &str| {
        let part = record.parts.iter().find(|part| part.name == name).unwrap();
        (part.state, part.reason.clone().unwrap_or_default())
    };
    assert_eq!(of("nets-cuda"), (State::Ok, String::new()));
    assert_eq!(
        of("racecheck-nets"),
        (State::Failed, "not done after 540 s".into())
    );
    assert_eq!(
        of("conformance-wgpu"),
        (State::NotRun, "no adapter was found".into())
    );
    assert_eq!(of("memory-wgpu"), (State::NotRun, "not asked for".into()));
    let (state, reason) = of("hash-cpu");
    assert_eq!(state, State::Failed);
    assert!(reason.starts_with("hash-cpu.json: "), "{reason}");
    assert!(verdict(&record).is_ok());
}

#[test]
fn the_page_has_device_states_digests_rates_and_shares() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let page = page::page(&read(folder.path()).unwrap());
    for line in [
        "# Card 9000, abc123",
        "| sha256 of focus | 00ff |",
        "| host | Host, 16 cores, 2.0 GiB |",
        "| racecheck-nets | FAILED | 540 s | not done after 540 s |",
        "| memory-wgpu | NOT RUN |  | not asked for |",
        "| cpu | ready | two \\| threads |  |  |",
        "| cuda:0 | ready | fine | 13.0 | l2 50, multiprocessors 100, compiler none |",
        "| cuda:0 | focus/gather | gather_equal | 40 | 0 | 1024 |",
        "| nets | `aa` | `aa` | NOT RUN |",
        "| cpu | sum_rec, depth 20, 2 threads | 7 | 125.00 ms | 60.500 M/s |  |",
        "| cuda | sum_rec, depth 24 | 1000 | 500.00 ms | 20000.000 M/s | 25.0 % |",
        "| scale 20, 1000000 edges | 1000 M/s | 500 M/s | 3000 M/s | 3.00 |",
        "| cusparse-focus-large | NOT RUN: no CuPy or no device: none |  |  |  |",
        // 100 multiprocessors × 128 B × 2 GHz, of which 64 B each.
        "| cuda | shared memory, an estimate |  |  | 25600.0 GB/s |  |",
        "| cuda | cnots, depth 20 | 10 | 500.00 ms | 40000.000 M/s | 10.0 % |",
        "| cuda | copy from buffer to buffer |  |  | 4000.0 GB/s |  |",
        "| cpu | one iteration, 1 thread | 31 | 20.00 ms | 1500.000 M/s | 90.0 % |",
        "| wgpu | NOT RUN: not asked for |  |  |  |  |",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    assert!(!page.contains("f32 pull"), "another engine's row");
    assert!(!page.contains("software"), "{page}");
}

#[test]
fn different_digests_and_wrong_parts_are_mismatches_that_the_page_names() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    put(folder.path(), "conformance-cuda", &conformance("bb"));
    let record = read(folder.path()).unwrap();
    let failure = verdict(&record).unwrap_err();
    assert_eq!(failure.code(), 3);
    assert!(
        failure.to_string().contains("suite nets: cpu aa, cuda bb"),
        "{failure}"
    );
    assert!(page::page(&record).contains("**Different digests: suite nets"));

    sample(folder.path());
    let words = "wrong\n3\nmismatch: a digest\n";
    write(folder.path(), "nets-cuda.status", words);
    let record = read(folder.path()).unwrap();
    assert_eq!(verdict(&record).unwrap_err().code(), 3);
    // Figures of a part with a wrong result are none.
    let page = page::page(&record);
    assert!(
        page.contains("| cuda | WRONG: mismatch: a digest |"),
        "{page}"
    );
    assert!(!page.contains("20000.000"), "{page}");
}

#[test]
fn nothing_at_all_is_a_record_without_a_device() {
    let folder = tempfile::tempdir().unwrap();
    let record = read(folder.path()).unwrap();
    assert!(record.parts.iter().all(|part| part.state == State::NotRun));
    let page = page::page(&record);
    assert!(
        page.starts_with("# No device, of an unknown commit\n"),
        "{page}"
    );
    assert!(page.contains("No backend ran the suites."));
    assert!(read(&folder.path().join("nowhere")).is_err());
    write(folder.path(), "nets-cpu.status", "");
    let odd = part(folder.path(), "nets-cpu");
    assert_eq!(odd.state, State::Failed);
}

#[test]
fn the_script_runs_the_parts_that_the_record_has() {
    let script = include_str!("../../../gpu-ci/record.sh");
    let list = script
        .split("\nparts=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let names: Vec<&str> = list.unwrap().split_whitespace().collect();
    assert_eq!(names, PARTS);
}
