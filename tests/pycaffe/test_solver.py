"""caffe.SGDSolver and its like."""

import numpy as np
import pytest
from demitasse import netspec, solvers
from demitasse import pycaffe as caffe
from demitasse.errors import DeviceError, SolverError
from demitasse.pycaffe import settings

pytestmark = pytest.mark.usefixtures("where")

CLASSES = ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"]


@pytest.fixture
def solver_file(tmp_path, learning_net):
    def write(**fields):
        fields = {
            "net": learning_net,
            "test_iter": 2,
            "test_interval": 10,
            "base_lr": 0.1,
            "lr_policy": "multistep",
            "gamma": 0.5,
            "stepvalue": 0,
            "max_iter": 6,
            "random_seed": 3,
            "snapshot_prefix": str(tmp_path / "snap"),
        } | fields
        lines = [
            f"{name}: " + (f'"{value}"' if isinstance(value, str) else f"{value}")
            for name, value in fields.items()
            if value is not None
        ]
        path = tmp_path / "solver.prototxt"
        path.write_text("\n".join(lines))
        return str(path)

    return write


def flat(engine):
    """All parameters."""
    return engine.net.device.host(engine.net.flat_data)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_a_method_and_get_solver_follows_the_file(solver_file, name):
    path = solver_file(type="SGD" if name == "Adam" else "Adam")
    solver = getattr(caffe, f"{name}Solver")(path)
    assert solver._engine.type == name and isinstance(solver, caffe.SGDSolver)
    found = caffe.get_solver(solver_file(type=name))
    assert type(found) is getattr(caffe, f"{name}Solver")


def test_an_unknown_type_and_a_missing_file_are_refused(solver_file, tmp_path):
    with pytest.raises(SolverError, match="'Sgd' is not known"):
        caffe.get_solver(solver_file(type="Sgd"))
    with pytest.raises(RuntimeError, match="Could not open file"):
        caffe.SGDSolver(str(tmp_path / "none.prototxt"))


def test_it_learns_what_the_engine_learns(solver_file):
    path = solver_file(momentum=0.9, weight_decay=0.01)
    ours = caffe.SGDSolver(path)
    plain = solvers.build(netspec.read_solver(path), net_options={"device": settings.device()})
    ours.step(5)
    plain.step(5)
    assert ours.iter == plain.iter == 5
    np.testing.assert_array_equal(flat(ours._engine), flat(plain))


def test_labels_written_into_the_blob_are_learned(solver_file):
    solver = caffe.SGDSolver(solver_file(lr_policy="fixed", base_lr=5.0, max_iter=20))
    solver.net.blobs["label"].data[...] = 2
    solver.test_nets[0].blobs["label"].data[...] = 2
    solver.step(20)
    assert float(solver.test_nets[0].forward()["loss"]) < 0.05
    assert (solver.test_nets[0].blobs["label"].data == 2).all()


def test_apply_update_is_one_update_with_the_gradients_that_stand_there(solver_file):
    solver = caffe.SGDSolver(solver_file(lr_policy="fixed"))
    weight = solver.net.params["ip"][0]
    weight.data[...], weight.diff[...] = 0, 1
    solver.apply_update()
    np.testing.assert_allclose(weight.data, -0.1, rtol=1e-6)
    assert solver.iter == 1


def test_reading_the_rate_changes_nothing(solver_file):
    solver = caffe.SGDSolver(solver_file())
    assert [solver.lr for _ in range(3)] == pytest.approx([0.05] * 3)
    solver.param.base_lr = 0.2
    assert solver.lr == pytest.approx(0.1)


def test_solve_runs_to_max_iter_and_a_state_resumes(solver_file, tmp_path):
    solver = caffe.SGDSolver(solver_file(snapshot=3))
    solver.solve()
    assert solver.iter == solver.param.max_iter == 6
    states = sorted(p.name for p in tmp_path.glob("snap_iter_*.solverstate*"))
    assert [name.split(".")[0] for name in states] == ["snap_iter_3", "snap_iter_6"]
    again = caffe.SGDSolver(solver_file())
    again.restore(str(tmp_path / states[0]))
    assert again.iter == 3
    again.step(3)
    np.testing.assert_array_equal(flat(again._engine), flat(solver._engine))
    more = caffe.SGDSolver(solver_file())
    more.solve(str(tmp_path / states[0]))
    np.testing.assert_array_equal(flat(more._engine), flat(solver._engine))


def test_a_script_that_steps_needs_no_max_iter(solver_file):
    solver = caffe.SGDSolver(solver_file(max_iter=None))
    solver.step(2)
    assert solver.iter == 2
    with pytest.raises(SolverError, match="solve\\(\\) needs max_iter"):
        solver.solve()


def test_callbacks_come_before_forward_and_before_the_update(solver_file):
    solver, said = caffe.SGDSolver(solver_file(test_iter=None, test_interval=None)), []
    solver.net.before_forward(lambda i: said.append("forward") if i == 0 else None)
    for k in (1, 2):
        solver.add_callback(lambda k=k: said.append(f"start {k}"), lambda k=k: said.append(k))
    solver.step(2)
    assert said == ["start 1", "start 2", "forward", 1, 2] * 2


RESHAPED = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 2 dim: 1 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 1 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""


def test_the_training_net_follows_its_inputs(solver_file, tmp_path):
    (tmp_path / "r.prototxt").write_text(RESHAPED)
    fields = {"test_iter": None, "test_interval": None, "lr_policy": "fixed"}
    solver = caffe.SGDSolver(solver_file(net=str(tmp_path / "r.prototxt"), **fields))

    def feed(n):
        for name, size in (("x", 3), ("t", 1)):
            solver.net.blobs[name].reshape(n, size)
            solver.net.blobs[name].data[...] = 1

    feed(5)
    solver.step(1)
    assert solver.net.blobs["y"].shape == (5, 1)
    np.testing.assert_allclose(solver.net.params["ip"][0].data, 0.1, rtol=1e-6)
    solver.add_callback(lambda: feed(7), lambda: None)
    solver.step(1)
    assert solver.net.blobs["y"].shape == (7, 1)


def test_share_weights(solver_file, learning_net):
    solver, net = caffe.SGDSolver(solver_file()), caffe.Net(learning_net, caffe.TEST)
    solver.share_weights(net)
    solver.step(1)
    np.testing.assert_array_equal(net.params["ip"][0].data, solver.net.params["ip"][0].data)


def test_several_gpus_are_refused(solver_file):
    assert caffe.has_nccl() is False
    with pytest.raises(DeviceError, match=r"computes alone.*mpiexec .* -gpu auto"):
        caffe.NCCL.new_uid()
    with pytest.raises(DeviceError, match=r"computes alone.*solver\.solve\(\)"):
        caffe.NCCL(caffe.SGDSolver(solver_file()), "uid")


def test_a_solver_speaks_in_glogs_format_unless_it_is_silenced(solver_file, monkeypatch, capsys):
    monkeypatch.delenv("GLOG_minloglevel")
    solver = caffe.SGDSolver(solver_file(display=1))
    solver.step(1)
    said = capsys.readouterr().err
    assert "solver.cpp:239] Iteration 0 (" in said and "Train net output #0: loss = " in said
    monkeypatch.setenv("GLOG_minloglevel", "2")
    solver.step(1)
    assert capsys.readouterr().err == ""


def test_debug_info_shows_every_layer(solver_file, learning_net, monkeypatch, capsys):
    monkeypatch.delenv("GLOG_minloglevel")
    solver = caffe.SGDSolver(solver_file(display=2, debug_info=True))
    solver.step(1)
    said = capsys.readouterr().err
    for layer in solver.net._layer_names:  # as the training net and the test net, twice, have it
        assert said.count(f"net.cpp:593]     [Forward] Layer {layer}, top blob ") >= 3
    assert "[Backward] All net params (data, diff): L1 norm = (" in said
    solver.step(1)
    assert "[Forward]" not in capsys.readouterr().err  # it is not displayed
    with open(learning_net, "a") as file:
        file.write(" debug_info: true")
    caffe.Net(learning_net, caffe.TEST).forward()
    assert "[Forward] Layer" in capsys.readouterr().err


def test_a_training_goes_on_in_another_process(solver_file, tmp_path):
    """Which draws another seed, where the prototxt gives none."""
    path = solver_file(random_seed=None)
    first = caffe.SGDSolver(path)
    first.step(3)
    first.snapshot()
    again = caffe.SGDSolver(path)
    assert again._engine.net.seed != first._engine.net.seed
    again.restore(str(tmp_path / "snap_iter_3.solverstate"))
    assert again.iter == 3
    np.testing.assert_array_equal(flat(again._engine), flat(first._engine))
    caffe.set_random_seed(8)
    assert caffe.SGDSolver(path)._engine.net.seed == 8


def test_a_policy_without_gamma_may_be_followed_for_a_few_steps(solver_file):
    path = solver_file(lr_policy="step", stepsize=1000, gamma=None, stepvalue=None, max_iter=None)
    solver = caffe.SGDSolver(path)
    solver.step(2)
    assert solver.iter == 2
