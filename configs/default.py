"""Every field once, with unit and range. The other configs start from these values and change what differs."""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder


def get_config() -> ConfigDict:
    """The default configuration: a small VP model on 64 x 64 pictures."""
    config = ConfigDict()

    config.seed = 0  # the randomness of training and, if --seed is not given, of edits and samples
    config.weights = ""  # model to use: a name, file, folder or address, of which docs/weights.md lists the kinds

    config.data = data = ConfigDict()
    data.source = "landscapes"  # what `--mode prepare` renders; or a path, of which docs/data.md lists the kinds
    data.dir = "~/tensorflow_datasets"  # folder of the landscapes, and of what TFDS makes
    data.image_size = 64  # pixels, height and width
    data.fit = "crop"  # crop pictures to their centre square before they are scaled, or resize all of them to one
    data.max_corrupt = 0.01  # share of damaged pictures, in [0, 1], that `--mode prepare` leaves out, naming them
    data.random_flip = True  # mirror half of the training pictures left to right

    config.sde = sde = ConfigDict()
    sde.name = "vp"  # vp, subvp, ve, discrete_vp; the other fields are those of that class in sdedit_jax/sdes
    sde.beta_min = 0.1
    sde.beta_max = 20.0

    config.model = model = ConfigDict()
    model.name = "ncsnpp"  # ncsnpp or ddpm; the other fields are those of that class in sdedit_jax/models
    model.channels = 64  # channels of the first level
    model.channel_mults = (1, 2, 2)  # one per level; every level but the last halves the resolution
    model.num_res_blocks = 2  # residual blocks a level on the way down, one more on the way up
    model.attention_levels = (2,)  # levels with self-attention, 0 = full resolution
    model.patch_size = 1  # space-to-depth at the input: 2 makes the network four times cheaper
    model.dropout = 0.0  # probability in [0, 1)

    config.preconditioning = preconditioning = ConfigDict()
    preconditioning.name = "none"  # what the network predicts: none = noise, v or x0 (VP only), edm (VE only)
    preconditioning.sigma_data = 0.5  # standard deviation of the pictures in [-1, 1], for edm and the weighting edm

    config.training = training = ConfigDict()
    training.num_steps = 100_000  # optimizer steps, 1 or more
    training.batch_size = 32  # pictures a step, over all devices; a multiple of their number
    training.device_batch_size = placeholder(int)  # most pictures that a device computes at a time; more go in parts
    training.remat = False  # compute each block again in the backward pass: less memory, a third more time
    training.dtype = "float32"  # of the computation, or bfloat16: half the memory, and quicker on GPU and TPU
    training.learning_rate = 2e-4  # of Adam, 0 or more
    training.muon_learning_rate = 0.0  # of Muon for the kernels, 0 or more; 0: Adam moves them too
    training.adam_b2 = 0.999  # decay of Adam's second moment, in [0, 1)
    training.warmup_steps = 1000  # steps, 0 or more, in which the learning rate rises from 1 / warmup_steps of it
    training.cooldown_steps = 0  # last of num_steps, 0 or more, over which it falls linearly: for the end of a run
    training.grad_clip = 1.0  # largest global norm of the gradient, more than 0
    training.ema_decay = 0.999  # of the averaged parameters, in [0, 1), reached by min(decay, (1 + step) / (10 + step))
    training.max_skipped_steps = 10  # steps in a row without a finite loss and gradient, which end the run
    training.weighting = "noise"  # noise, likelihood, edm, v, min_snr: the factor of |eps - z|^2; docs/training.md
    training.snr_gamma = 5.0  # of min_snr: the signal-to-noise ratio above which the error of the noise counts less
    training.reduction = "mean"  # mean, or half_sum over the values of an image
    training.times = times = ConfigDict()
    times.name = "uniform"  # or log_normal, whose fields are the mean and std of log(sigma / alpha)
    times.t_min = 1e-5  # the smallest time that is drawn
    training.log_every = 50  # steps between lines in metrics.jsonl
    training.checkpoint_every = 500  # steps between checkpoints
    training.sample_every = 1000  # steps between grids of edits and samples, with the validation loss
    training.num_validation = 64  # held-out pictures for the validation loss
    training.shard_state = False  # devices share EMA and moments: with Adam 3 of the 4 copies of the parameters
    training.tensorboard = False  # metrics and grids for TensorBoard too, in WORKDIR/tensorboard
    training.init_from = ""  # model to start from, anything that config.weights takes; empty: from nothing

    config.solver = solver = ConfigDict()
    # ancestral, dpm_solver_sde, euler_maruyama, probability_flow, reverse_diffusion or predictor_corrector
    solver.name = "ancestral"
    solver.variance = placeholder(str)  # of ancestral: small (if not set), or large
    solver.order = placeholder(int)  # of probability_flow: 1 (if not set), or 2 with two evaluations a step

    config.editing = editing = ConfigDict()
    editing.guide = ""  # picture, .pth example of the official code, or folder to edit; empty: the shipped examples
    editing.examples = "landscapes"  # subject of the shipped examples, a folder of sdedit_jax/assets
    editing.mask = ""  # picture or folder, white = may change; empty: X_mask.png beside X, or everything may
    editing.t0 = 0.5  # (0, 1]: 0 keeps the guide, 1 ignores it
    editing.num_steps = 500  # solver steps a repeat, from t0 to 0, whatever t0 is
    editing.num_repeats = 1  # repeats, each from the result of the one before
    editing.num_samples = 4  # candidates for each guide

    config.sampling = sampling = ConfigDict()
    sampling.num_steps = 1000  # solver steps from pure noise to a picture
    sampling.num_samples = 16  # pictures

    config.sweep = sweep = ConfigDict()
    sweep.t0s = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # each in (0, 1], a row of the sheet
    sweep.num_samples = 4  # candidates, a column each
    sweep.target_l2 = placeholder(float)  # L2 to the guide, more than 0, that `--mode sweep` finds the largest t0 for

    config.strokes = strokes = ConfigDict()
    strokes.num_colors = 6  # of the palette at most, 2 to 256
    strokes.size = 256  # pixels, of the shorter side at most; 512 takes ten times as long

    config.evaluation = evaluation = ConfigDict()
    evaluation.experiments = ("synthesis", "t0", "colors", "repeats", "steps", "editing", "compositing")
    evaluation.baselines = ("guide", "blur", "laplacian", "poisson", "unconditional")  # also gan-1, gan-2, with `gan`
    evaluation.split = "validation"  # of the data, whose pictures guides are made of; the landscapes have a test too
    evaluation.num_images = 1000  # of these pictures, at most
    evaluation.num_real = 2000  # training pictures, at most, that the edits are held against
    evaluation.networks = ("efficientnet_lite0@128", "vgg16@64")  # at which size; or inception_v3@PATH, FID's
    evaluation.t0s = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the sweep; elsewhere editing.t0
    evaluation.colors = (3, 6, 16, 30, 50)  # of the strokes, where those are tried; else 6
    evaluation.repeats = (1, 2, 3)  # where those are tried; elsewhere editing.num_repeats
    evaluation.steps = (10, 25, 50, 100)  # where those are tried; elsewhere editing.num_steps
    evaluation.gan = ""  # file of `python -m sdedit_jax.baselines.gan`, or landscapes for the bundled one
    evaluation.num_shown = 100  # edits of each method that are kept as pictures, for the report and a survey

    config.survey = survey = ConfigDict()
    survey.method = "sdedit"  # the method, a folder of the pictures, that people compare with each of the others
    survey.num_guides = 30  # guides drawn from all; each is compared once with every other method
    survey.comparisons_per_page = 15  # at most, each asked for realism and satisfaction, with six catch trials

    return config


def predictor_corrector(target_snr: float) -> ConfigDict:
    """`config.solver` of Song et al. 2021 for VE: a step of reverse diffusion, then one of Langevin dynamics."""
    predictor, corrector = {"name": "reverse_diffusion"}, {"target_snr": target_snr, "num_steps": 1}
    return ConfigDict({"name": "predictor_corrector", "predictor": predictor, "corrector": corrector})
