"""Every bad command line ends in a line that names the setting, the value and what is allowed; nothing is written."""

import sys

import pytest
from omegaconf import OmegaConf

import scripts.aggregate
import scripts.benchmark.__main__
import scripts.plan.__main__
import scripts.worked_examples.__main__
import src.evaluate
from src.config.paths import CONFIG_DIR
from tests.commands import files, parametrize

LINES = """
model.hiden=[5] ~ hiden, hidden?
los=ce ~ los, loss?
clases=4 ~ clases, classes?
--multirun sed=range(3) ~ sed, seed?
optimizer.rl=1 ~ optimizer.rl, optimizer.lr?
trainer.epochs=3 ~ trainer.epochs, trainer.max_epochs?
data.sample_per_class=3 ~ data.sample_per_class, data.samples_per_class?
+clases=3 ~ clases, classes
predictions=5|3|maybe|null ~ predictions, true or false
+trainer.max_epoch=3 ~ trainer.max_epoch, perhaps trainer.max_epochs
++newkey=3 ~ newkey
loss=nonsense|null|5 ~ loss, bce
loss=mes ~ loss, mes, mse
loss= ~ loss, bce
~loss ~ loss
data=null ~ data
data=nope ~ data, noisy_cubic, nope
~data ~ data
~classes ~ classes
~seeds.data,classes ~ NAME=VALUE
model=null ~ model
model=5 ~ model, mlp, 5
trainer=null ~ trainer
~trainer.max_epochs ~ trainer.max_epochs, given
optimizer=nope ~ optimizer, adam, nope
optimizer=null ~ optimizer
export=nope ~ export, tensorboard, nope
export=null ~ export
storage=nope|null ~ storage, files, table
logger=nope ~ logger, tensorboard, nope
task_name=x ~ task_name, study=, x
ckpt_path=x ~ ckpt_path, run=FOLDER, x
extras.print_config=true ~ extras.print_config, --cfg, true
tags=x ~ tags, list of words, x
tags=[1] ~ tags, list of words, [1]
returns=test/loss ~ returns, optimized_metric=, test/loss
experiment=nope ~ experiment, hw4, nope
split=default|null ~ split, column, group, stratified, time
hydra/launcher=nonsense ~ hydra/launcher, basic, nonsense
hydra/sweeper=nonsense ~ hydra/sweeper, stack, nonsense
hydra.nonsense=1 ~ hydra.nonsense
hydra.job.chdir=maybe ~ hydra.job.chdir, true or false, maybe
hydra.run.dir=/proc/x ~ hydra.run.dir, study, /proc/x
hydra.sweep.subdir= ~ hydra.sweep.subdir
hydra.sweep.dir=/dev/null/x ~ hydra.sweep.dir, written, /dev/null/x
hydra.output_subdir=../../x ~ hydra.output_subdir, path, ../../x
hydra.job.name=../x ~ hydra.job.name, path, ../x
--multirun hydra.sweeper.stack_size=0|-1|2.5|two ~ stack_size, at least 1
--multirun hydra.sweeper.stack_size=true ~ stack_size, at least 1, True
--multirun hydra.sweeper.max_batch_size=-1 ~ max_batch_size, at least 1, -1
--multirun seed=range(1e9) ~ seed, at most, range
--multirun seed=interval(0,3) ~ seed, at most, interval(0,3)
--multirun seed=glob(*) ~ seed, at most, glob(*)
--multirun seed=range(1,5,0) ~ seed, range
--multirun classes=2,1 ~ classes, from 2, 1
--multirun loss=ce,nope ~ loss, bce, nope
--multirun experiment=hw5 ~ experiment, hw4, hw5
--nonsense ~ flags, --nonsense
-x ~ flags, -x
--cfg=nope ~ flags, nope
--run --multirun ~ flags, only one
--resolve ~ flags, --cfg
--experimental-rerun=config.pickle ~ flags, pickle
--config-name=nope ~ --config-name, nope
--config-path=nope ~ --config-path, nope
--config-dir=nope ~ --config-dir, nope
=5 ~ =5, NAME=VALUE
classes ~ classes, NAME=VALUE
classes= ~ classes, from 2
classes=1|2.5|two|-4|true|nan|inf|[2] ~ classes, from 2
classes=null ~ classes, at least 2, null
classes=1000000000000 ~ classes, to 1000, 1000000000000
classes=[1 ~ classes, NAME=VALUE, [1
classes=1,2 ~ classes, --multirun, 1,2
classes={a:1} ~ classes, from 2, {"a": 1}
classes=${foo} ~ classes, foo
classes=${oc.env:LOSSLAB_NOPE} ~ classes, LOSSLAB_NOPE
classes='4' ~ classes, from 2, "4"
classes=٤ ~ classes
+classes=3 ~ classes, 3
classes@x=3 ~ classes@x
seed=-1|1.5|null|true|nan ~ seed, from 0
seed=99999999999999999999 ~ seed, 2^63, 99999999999999999999
seed=[] ~ seed, one or more, []
seed=[0,0] ~ seed, different, [0, 0]
seed=range(3) ~ seed, --multirun, range(3)
seed=range( ~ seed, NAME=VALUE, range(
seed=[1,[2]] ~ seed, different
seed={a:1} ~ seed, from 0
seeds=null ~ seeds, not null, null
seeds.data=-3 ~ seeds.data, from 0, -3
seeds.data=[1,1] ~ seeds.data, different, [1, 1]
seeds.split=half ~ seeds.split, from 0, half
seeds.split=[] ~ seeds.split, one or more, []
seeds.init='' ~ seeds.init, from 0
seeds.shufle=1 ~ seeds.shufle, shuffle?
+seeds.dta=1 ~ seeds.dta, data
study=../x|a/b|/tmp/x|.|..|null ~ study, letters
study='' ~ study, letters
study='a b' ~ study, letters, a b
study='x\\n' ~ study, letters
study=größe ~ study
study=a"b ~ study, NAME=VALUE, a\\"b
study='a=b;c' ~ study, letters, a=b;c
study=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ~ study, 100
resume=maybe|0 ~ resume, true or false
fail_fast=maybe|1 ~ fail_fast, true or false
figures=some|null ~ figures, first
figures=movie data=iris ~ figures, two features, movie
figures=movie model=gaussian ~ figures, epochs, movie
engine=numba ~ engine, auto, native, torch, numba
engine=null ~ engine, auto, null
engine=native optimizer=sgd ~ engine, torch, adam, native
allow_targets=os|[1] ~ allow_targets, list
allow_targets=['a b'] ~ allow_targets, list, a b
data.batch_size=0|1e+30|100000000000000000000 ~ data.batch_size, from 1
data.test_fraction=1 ~ data.test_fraction, below 1, 1
data.test_fraction=0|nan ~ data.test_fraction, above 0
data.test_fraction=0.001 ~ data.test_fraction, at least one, 0.001
data.val_fraction=-0.1 ~ data.val_fraction, at least 0, -0.1
data.val_fraction=0.9 ~ data.val_fraction, at least one, 0.9
data.samples_per_class=1|many ~ data.samples_per_class, from 2
data.samples_per_class=10000000000000 ~ data.samples_per_class, to 1000000, 10000000000000
data.samples_per_class=1e400 ~ data.samples_per_class, from 2, Infinity
data.half_width=0|-1|wide ~ data.half_width, above 0
data.half_width=1e308 ~ data.half_width, below, 1e+308
data.spacing=-inf ~ data.spacing, at least 0, -Infinity
data.spacing=1e308 ~ data.spacing, below, 1e+308
data.noise=loud|null ~ data.noise, uniform
data.label_order=[0,0]|5|[0,1,2] ~ data.label_order
data.label_order=[a,b] ~ data.label_order, a
data.flip=0.9|nan|[0.1] ~ data.flip
data.flip=[a,b] ~ data.flip, a
data.priors=[1,1]|half|[0.5]|[-1,2] ~ data.priors
data=gaussians data.samples=1e+30|0 ~ data.samples, from 2
data=gaussians classes=5 ~ means
data=xor classes=3 ~ classes, 2 for data=xor, 3
data=xor data.noise_std=0|nan ~ data.noise_std, above 0
model=gaussian loss=mse ~ loss, closed form, mse
--multirun model=mlp,gaussian loss=ce ~ loss, closed form, ce
+data.foo=1 ~ data.foo, NoisyCubic, 1
data.noise="" ~ data.noise, uniform
model.hidden=[0] ~ model.hidden, at least 1, [0]
model.hidden=[] ~ model.hidden, one or more, []
model.hidden=abc|5|null ~ model.hidden, list
model.hidden=[5.5] ~ model.hidden, whole, [5.5]
model.hidden=[1000000000]|[100000,100000] ~ model.hidden, weights
model.init_std=inf|0 ~ model.init_std, above 0
model.init_std=1e308 ~ model.init_std, below, 1e+308
model.init=nope ~ model.init, normal, nope
model.activation=gelu ~ model.activation, relu, gelu
model.activation=[relu] ~ model.activation, relu
model=linear model.hidden=[5] ~ model.hidden
optimizer.lr=0|nan|-1|fast ~ optimizer.lr, above 0
optimizer.lr=1e308 ~ optimizer.lr, below, 1e+308
optimizer.lr=0,1 ~ optimizer.lr, --multirun, 0,1
optimizer.fused=5 ~ optimizer.fused, true or false, 5
+optimizer.betas=[2,3] ~ optimizer, beta
+optimizer.nope=1 ~ optimizer.nope, Adam, 1
trainer.max_epochs=0|-1|2.5|1000000000000000000000 ~ trainer.max_epochs, from 1
trainer.checkpoint_every=0|often ~ trainer.checkpoint_every, from 1
trainer.precision=16-mixed|null ~ trainer.precision, 32-true
trainer.accelerator=tpu|null ~ trainer.accelerator, cpu
trainer.devices=2|auto|true ~ trainer.devices, 1
trainer.logger=true ~ trainer.logger, false, true
trainer.enable_checkpointing=true ~ trainer.enable_checkpointing, false, true
trainer.enable_progress_bar=5 ~ trainer.enable_progress_bar, true or false, 5
trainer.log_every_n_steps=-1|null ~ trainer.log_every_n_steps, from 1
trainer.num_sanity_val_steps=x|-2 ~ trainer.num_sanity_val_steps, at least -1
+trainer.gradient_clip_val=0|-1|nan ~ trainer.gradient_clip_val, above 0
+trainer.gradient_clip_algorithm=max ~ trainer.gradient_clip_algorithm, norm, value, max
+trainer.accumulate_grad_batches=0|1.5 ~ trainer.accumulate_grad_batches, from 1
+trainer.accumulate_grad_batches=2 +trainer.max_steps=5 ~ trainer.accumulate_grad_batches, trainer.max_steps, 2
engine=native +trainer.gradient_clip_val=1 ~ engine, clips, native
+trainer.max_steps=-5 ~ trainer.max_steps, from 1, -5
+trainer.limit_train_batches=0 ~ trainer.limit_train_batches, at least 1, 0
+trainer.limit_train_batches=0.001 ~ trainer.limit_train_batches, at least one of 26, 0.001
+trainer.limit_val_batches=half ~ trainer.limit_val_batches, at least 0, half
+trainer.overfit_batches=2.5 ~ trainer.overfit_batches, share, 2.5
+trainer.check_val_every_n_epoch=0 ~ trainer.check_val_every_n_epoch, from 1, 0
+trainer.max_time=1 ~ trainer.max_time, speed, 1
+trainer.strategy=ddp ~ trainer.strategy, one device, ddp
+trainer.plugins=[x] ~ trainer.plugins, lightning.Trainer, x
+trainer.fast_dev_run=0 ~ trainer.fast_dev_run, true, 0
scheduler=nope ~ scheduler, cosine, nope
scheduler=null ~ scheduler, cosine, null
~scheduler ~ scheduler
scheduler._target_=os.system ~ scheduler._target_, torch.optim.lr_scheduler, os.system
scheduler._target_=torch.optim.Adam ~ scheduler._target_, torch.optim.lr_scheduler, torch.optim.Adam
scheduler=cosine scheduler.interval=week ~ scheduler.interval, epoch, step, week
scheduler=cosine scheduler.T_max=0 ~ scheduler, T_max=0
scheduler=cosine scheduler.T_max=many ~ scheduler, T_max=many
scheduler=cosine scheduler.eta_min=-1 ~ scheduler, at least 0, -
scheduler=cosine +scheduler.nope=1 ~ scheduler.nope, CosineAnnealingLR, 1
scheduler=cosine model=gaussian data=gaussians ~ scheduler, closed form
scheduler=step scheduler.step_size=0 ~ scheduler, step_size=0
scheduler=step scheduler.gamma=-1 ~ scheduler, at least 0, -
scheduler=one_cycle scheduler.max_lr=fast ~ scheduler, max_lr=fast
scheduler=one_cycle scheduler.total_steps=0 ~ scheduler, total_steps=0
scheduler=one_cycle scheduler.pct_start=2 ~ scheduler, pct_start=2
scheduler=warmup_cosine scheduler.total_steps=0 ~ scheduler.total_steps, from 1, 0
scheduler=warmup_cosine scheduler.warmup=1 ~ scheduler.warmup, below 1, 1
scheduler=plateau scheduler.interval=step ~ scheduler.interval, epoch, step
scheduler=plateau scheduler.monitor=val/loss ~ scheduler.monitor, train/loss, val/loss
scheduler=plateau scheduler.factor=2 ~ scheduler.factor, below 1, 2
scheduler=plateau scheduler.threshold=-1 ~ scheduler.threshold, at least 0, -1
scheduler=plateau scheduler.cooldown=-1 ~ scheduler.cooldown, at least 0, -1
scheduler=plateau scheduler.min_lr=-1 ~ scheduler.min_lr, at least 0, -1
scheduler=plateau scheduler.patience=long ~ scheduler.patience, at least 0, long
scheduler=plateau scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau seed=[0,1] ~ scheduler._target_, couple
callbacks=nope ~ callbacks, default, nope
callbacks=5 ~ callbacks, default, 5
callbacks=[none,nope] ~ callbacks, default, nope
+callbacks.x=5 ~ callbacks, _target_, 5
+callbacks.x._target_=os.system ~ callbacks.x._target_, lightning.pytorch.callbacks, os.system
callbacks=rich_progress callbacks.rich_progress._target_=os.system ~ callbacks.rich_progress._target_, os.system
callbacks=lr_monitor callbacks.lr_monitor._target_=os.system ~ callbacks.lr_monitor._target_, os.system
callbacks=model_summary callbacks.model_summary._target_=torch.load ~ callbacks.model_summary._target_, torch.load
+callbacks.x._target_=torch.nn.Linear ~ callbacks.x._target_, allow_targets, torch.nn.Linear
+callbacks.x._target_=lightning.pytorch.callbacks.LearningRateFinder ~ callbacks.x._target_, manual optimization
seed=[0,1] +callbacks.x._target_=lightning.pytorch.callbacks.Timer ~ callbacks.x._target_, early_stopping
data.path=x.csv ~ data.path, given with data=csv, x.csv
data.target=等级 ~ data.target, data=csv or data=openml_file, got "等级"
callbacks=lr_finder callbacks.lr_finder.min_lr=0 ~ callbacks.lr_finder.min_lr, above 0, 0
callbacks=lr_finder callbacks.lr_finder.max_lr=1e-6 ~ callbacks.lr_finder.max_lr, above min_lr, 1e-06
callbacks=lr_finder callbacks.lr_finder.steps=19 ~ callbacks.lr_finder.steps, from 20 to 1000000, 19
callbacks=lr_finder callbacks.lr_finder._target_=os.system ~ callbacks.lr_finder._target_, os.system
callbacks=lr_finder ~optimizer.fused optimizer._target_=torch.optim.Rprop ~ optimizer._target_, proportional, lr_finder
callbacks=early_stopping ~ callbacks.early_stopping.monitor, train/loss, data.val_fraction, val/loss
callbacks=early_stopping callbacks.early_stopping.monitor=loss ~ callbacks.early_stopping.monitor, val/loss, loss
callbacks=early_stopping callbacks.early_stopping.patience=0 ~ callbacks.early_stopping.patience, at least 1, 0
callbacks=early_stopping callbacks.early_stopping.min_delta=-1 ~ callbacks.early_stopping.min_delta, at least 0, -1
callbacks=early_stopping callbacks.early_stopping._target_=os.system ~ callbacks.early_stopping._target_, os.system
callbacks=best_epoch callbacks.best_epoch.monitor=test/loss ~ callbacks.best_epoch.monitor, val/loss, test/loss
callbacks=ema callbacks.ema.decay=1|0|slow ~ callbacks.ema.decay, above 0
callbacks=ema callbacks.ema._target_=os.system ~ callbacks.ema._target_, os.system
data.val_fraction=0.2 callbacks=[ema,best_epoch] ~ callbacks, average, best_epoch
engine=native callbacks=ema ~ engine, averages, native
callbacks=best_epoch callbacks.best_epoch.min_delta=x ~ callbacks.best_epoch.min_delta, at least 0, x
callbacks=best_epoch callbacks.best_epoch._target_=os.system ~ callbacks.best_epoch._target_, os.system
callbacks=lr_monitor callbacks.lr_monitor.log_momentum=true ~ callbacks.lr_monitor, logger=
logger=csv callbacks=lr_monitor callbacks.lr_monitor.logging_interval=often ~ callbacks.lr_monitor, often
+logger.x._target_=os.system ~ logger.x._target_, lightning.pytorch.loggers, os.system
logger=csv +logger.csv.nope=1 ~ logger.csv.nope, CSVLogger, 1
profiler=nope ~ profiler, simple, nope
profiler._target_=os.system ~ profiler._target_, lightning.pytorch.profilers, os.system
profiler=simple +profiler.nope=1 ~ profiler.nope, SimpleProfiler, 1
debug=nope ~ debug, overfit, nope
paths.output_dir=5 ~ paths.output_dir, path, 5
paths.output_dir=/dev/null/x ~ hydra.sweep.dir, written, /dev/null/x
+paths.log_dir=x ~ paths.log_dir, left out, x
export._target_=src.storage.tensorboard.nope ~ export._target_, write_events, src.storage.tensorboard.nope
export._target_=5 ~ export._target_, 5
loss._target_=os.system|posix.system|src.experiments.write_run.subprocess.run ~ loss._target_, src
loss._target_=torch.os.system|torch.load|torch.hub.load ~ loss._target_, src.losses
loss._target_=src..x ~ loss._target_, src..x
loss._target_=src.models.mlp.MLP ~ loss
loss._target_= ~ loss._target_
data._target_=src.losses.ce.CrossEntropy ~ data
data._target_=torch.zeros ~ data._target_, torch.zeros
model._target_=torch.optim.Adam ~ model._target_, src.models, torch.optim.Adam
model._target_=torch.nn.Linear ~ model
optimizer._target_=torch.nn.Linear ~ optimizer._target_, torch.optim, torch.nn.Linear
optimizer._target_=torch.optim.LBFGS seed=[0,1] ~ optimizer._target_, closure, torch.optim.LBFGS
scheduler=plateau ~optimizer.fused optimizer._target_=torch.optim.Rprop|torch.optim.ASGD ~ _target_, proportional
trainer._target_=torch.nn.Module ~ trainer._target_, lightning.Trainer, torch.nn.Module
+model.inner={_target_:os.getcwd} ~ model.inner._target_, left out, os.getcwd
hydra.callbacks.x._target_=os.system ~ hydra.callbacks.x, os.system
+hydra.callbacks.x={_target_:os.system,command:ls} ~ hydra.callbacks.x, os.system
+hydra.job_logging.handlers.x={class:subprocess.Popen} ~ hydra.job_logging.handlers.x, subprocess.Popen
allow_targets=[os] loss._target_=os.system ~ allow_targets, Python's own, os
allow_targets=[os] loss=ce ~ allow_targets, Python's own, os
allow_targets=[numpy] loss._target_=numpy.os.system ~ loss._target_, numpy.os.system
tuned=5|nope|optimizer.rl ~ tuned, null
optimized_metric=5|null ~ optimized_metric, metric
optimized_metric=test/nonsense|val/accuracy ~ optimized_metric, one of
seeds.shuffle=1e3 ~ seeds.shuffle, from 0, 1000
seeds.init=99999999999999999999 ~ seeds.init, 2^63
allow_targets=[os] ~ allow_targets, Python's own, os
allow_targets=[os.path] ~ allow_targets, Python's own, os.path
data=gaussians data.means=5|[[1,2]]|[[1,2],[3]] ~ data.means
data=gaussians data.means=[[a,2],[3,4]] ~ data.means, a
data=gaussians data.means=[[.nan,2],[3,4]] ~ data.means
data=gaussians data.covariances=[[1,0],[0,1]]|wide ~ data.covariances
data=gaussians data.covariances=[[[1,2],[2,1]],[[1,0],[0,1]]] ~ data.covariances, definite
data=gaussians data.covariances=[[[1,2],[0,1]],[[1,0],[0,1]]] ~ data.covariances, symmetric
data=gaussians data.priors=[1]|[0,0] ~ data.priors
data=gaussians data.priors=[inf,1] ~ data.priors, Infinity
data=gaussians data.batch_size=half ~ data.batch_size, from 1, half
data=gaussians data.test_fraction=2 ~ data.test_fraction, below 1, 2
data=gaussians data.val_fraction=null ~ data.val_fraction, at least 0, null
data=xor data.samples_per_corner=-1 ~ data.samples_per_corner, from, -1
data=digits data.name=mnist ~ data.name, digits, mnist
data=digits classes=3 ~ classes, 10, 3
data=digits data.samples_per_class=5 ~ data.samples_per_class
data=iris data.name=[iris] ~ data.name, iris
data=wine data.batch_size=-5 ~ data.batch_size, from 1, -5
data=csv ~ data.path
split=group|time|column|kfold ~ data.split, stratified
data=csv data.path=$TABLE data.target=y data.missing=drop split=file ~ data.test_path, null
data=csv data.path=$TABLE data.target=y data.missing=drop split=file data.test_path=nowhere.csv|/ ~ data.test_path
$CSV split=file data.test_path=$TABLE data.test_sha256=0 ~ data.test_path, sha256 0
data=csv data.path=$TABLE data.target=y split=file data.missing=drop data.test_path=$TABLE data.split_by=x ~ split_by
data=iris split=kfold data.folds=1|half|51|null ~ data.folds
data=iris split=kfold data.test_fraction=0.2 ~ data.test_fraction, null, 0.2
data=iris split=group|time|column ~ data.split, stratified
data.split=halves ~ data.split, stratified, halves
data=csv data.path=$TABLE data.target=y data.missing=drop split=group ~ data.groups, split=group, null
data=csv data.path=$TABLE data.target=y data.missing=drop split=time|column ~ data.split_by, null
data=csv data.path=$TABLE data.target=y data.missing=drop split=time data.split_by=z ~ data.split_by, columns x, z
$CSV data.split_by=x ~ data.features, no column is left
$CSV split=column data.split_by=x ~ data.features, no column is left
data=csv data.path=nowhere.csv data.target=y ~ data.path, nowhere.csv
data=csv data.path=/ data.target=y ~ data.path, /
data=csv data.path=/dev/null data.target=y ~ data.path, /dev/null
data=csv data.path=5 data.target=y ~ data.path, 5
data=csv data.path=größe.csv data.target=y ~ data.path, größe.csv
data=csv data.path=$TABLE data.target=nope|null ~ data.target, y
data=csv data.path=$TABLE data.target=[y] ~ data.target, y, ["y"]
data=csv data.path=$TABLE data.target=y ~ data.missing, drop, error
data=csv data.path=$TABLE data.target=y data.missing=zero|null ~ data.missing, drop
data=csv data.path=$TABLE data.target=y data.missing=drop data.sha256=abc ~ data.sha256, abc
data=csv data.path=$TABLE data.target=y data.missing=drop classes=7 ~ classes, 2, 7
$CSV data.categorical=5 ~ data.categorical, list, 5
$CSV data.numeric=5 ~ data.numeric, list, 5
$CSV data.drop=5 ~ data.drop, list, 5
$CSV data.features=[nope] ~ data.features, columns x, nope
$CSV data.groups=nope ~ data.groups, columns x, nope
$CSV data.class_weights=maybe|[1] ~ data.class_weights, balanced
$CSV data.stratified_batches=maybe ~ data.stratified_batches, true or false, maybe
$CSV data.copy=maybe ~ data.copy, true or false, maybe
$CSV data.labels=5 ~ data.labels, list, 5
$CSV data.merge_labels=5 ~ data.merge_labels, true or false, 5
$CSV data.max_categories=0|many ~ data.max_categories, at least 2
$CSV data.min_frequency=-1|half ~ data.min_frequency, at least 1
$CSV data.ordered=5 ~ data.ordered, lists of texts, 5
$CSV data.ordered={x:5} ~ data.ordered.x, {x:5}
$CSV data.unknown=maybe|5 ~ data.unknown, error, none
$CSV data.read.comment=5 ~ data.read.comment, one character, 5
$CSV data.read.decimal=5 ~ data.read.decimal, one character, 5
$CSV data.read.thousands=5 ~ data.read.thousands, one character, 5
$CSV data.read.quotechar=5 ~ data.read.quotechar, one character, 5
$CSV data.read.sep=5 ~ data.read.sep, one character, 5
$CSV data.read.compression=5 ~ data.read.compression, gzip, 5
$CSV data.read.dtype=5 ~ data.read.dtype, int64, 5
$CSV data.read.encoding=nope|5 ~ data.read.encoding, latin-1
$CSV data.read.index_col=nope ~ data.read.index_col, nope
$CSV data.read.keep_default_na=5 ~ data.read.keep_default_na, true or false, 5
$CSV data.read.na_values={x:{y:1}} ~ data.read.na_values, text or number
$CSV data.read.parse_dates=5 ~ data.read.parse_dates, columns, 5
$CSV data.read.skiprows=-1|two ~ data.read.skiprows, lines
$CSV data.read=guess ~ data.read, auto
$CSV +data.read.converters={x:eval} ~ data.read.converters
loss=bce classes=3 ~ classes, 3
loss=mse_sigmoid classes=4 ~ classes, 4
loss=none ~ loss
loss=focal loss.gamma=-1|inf|two|null ~ loss.gamma, at least 0
loss=label_smoothing loss.smoothing=1.5|nan|[0.1]|null ~ loss.smoothing
loss=multi_margin loss.p=3|1.5 ~ loss.p, 1, 2
loss=multi_margin loss.margin=0|-inf|null ~ loss.margin, above 0
loss=squared_rescaled loss.k=0|nan|null ~ loss.k, above 0
loss=squared_rescaled loss.M=big|-1 ~ loss.M
loss=squared_rescaled loss.m=2 ~ loss.m
loss.gamma=2 ~ loss.gamma
model=linear model.init=zeros ~ model.init, normal, zeros
model=linear model.init_std=-1 ~ model.init_std, above 0, -1
model=logistic model.init_std=thin ~ model.init_std, above 0, thin
model=logistic loss=mse_onehot classes=2 model.init=null ~ model.init, normal, null
model=cascade model.hidden=[1.5] ~ model.hidden, [1.5]
model=cascade model.activation=null ~ model.activation, relu, null
model=gaussian_shared loss=ce ~ loss, closed form, ce
model=gaussian +model.ridge=1 ~ model
model=custom model.network=null|5 ~ model.network
model=custom model.network._target_=my_package.Net ~ model.network._target_, allow_targets, my_package.Net
model=custom model.network._target_=torch.nn.Nope ~ model.network._target_, imported, torch.nn.Nope
model=custom model.network._target_=nope.Net allow_targets=[nope] ~ model.network._target_, imported, nope.Net
model=custom model.network._partial_=false ~ model.network
model=custom model.network._target_=torch.nn.ReLU ~ model.network
model=custom +model.network.width=5 ~ model.network
model=custom model.network._target_=$NORMED allow_targets=[tests] data.batch_size=1|127 ~ data.batch_size, than one of 1
optimizer=adamw optimizer.lr=inf ~ optimizer.lr, above 0, Infinity
optimizer=adamw optimizer.fused=null ~ optimizer.fused, true or false, null
optimizer=sgd optimizer.lr=[0.1] ~ optimizer.lr, above 0, [0.1]
optimizer=sgd +optimizer.momentum=-1 ~ optimizer, momentum
trainer.enable_model_summary=yes ~ trainer.enable_model_summary, true or false, yes
+trainer.profiler=nope ~ trainer.profiler, simple, nope
+trainer.callbacks=[a] ~ trainer.callbacks, left out
+trainer.detect_anomaly=5 ~ trainer.detect_anomaly, true or false, 5
+trainer.benchmark=often ~ trainer.benchmark, true or false, often
+trainer.deterministic=maybe ~ trainer.deterministic, warn, maybe
+export.nope=1 ~ export.nope, write_events, 1
+export.failed=true ~ export.failed, write_events, True
--multirun hydra.launcher.workers=0|all|1.5 ~ hydra.launcher.workers, at least 1
--multirun hydra/launcher=joblib hydra.launcher.n_jobs=0 ~ hydra.launcher, joblib, n_jobs
--multirun hydra/launcher=joblib hydra.launcher.n_jobs=some ~ hydra.launcher, joblib, some
--multirun hydra/launcher=joblib +hydra.launcher.nope=1 ~ hydra.launcher, joblib, nope
--multirun hydra/launcher=slurm hydra.launcher.cluster=slurm ~ hydra.launcher.cluster, local, slurm
--multirun hydra/launcher=slurm hydra.launcher.cluster=local +hydra.launcher.parameters.gpus=1 ~ hydra.launcher, gpus
--multirun hydra/launcher=slurm hydra.launcher.cluster=local hydra.launcher.parameters.mem_gb=big ~ hydra.launcher, big
--multirun hydra/launcher=slurm hydra.launcher.cluster=moon ~ hydra.launcher.cluster, slurm or local, moon
--multirun hydra/launcher=slurm hydra.launcher.cluster=local hydra.launcher.parameters.timeout_min=soon ~ hydra.launcher
--multirun hydra/launcher=ray hydra.launcher.remote.num_cpus=some ~ hydra.launcher.remote, some
--multirun hydra/launcher=ray hydra.launcher.remote.max_retries=-5 ~ hydra.launcher.remote, -5
--multirun hydra/launcher=nope hydra.launcher.workers=1 ~ hydra/launcher, cores, nope
--multirun hydra.sweeper.params={loss:nope} ~ hydra.sweeper.params.loss, {loss:nope}
--multirun +hydra.sweeper.params={loss:nope} ~ loss, bce, nope
--multirun hydra.sweeper.params=5 ~ hydra.sweeper.params, 5
--multirun hydra.sweeper.grids=[los=ce] ~ hydra.sweeper.grids
--multirun hydra.sweeper.grids=['los=ce'] ~ los, loss?
--multirun hydra.sweeper.grids=5 ~ hydra.sweeper.grids, 5
--multirun hydra.sweeper.nope=1 ~ hydra.sweeper.nope
--multirun hydra/sweeper=tune hydra.sweeper.n_trials=0 ~ hydra.sweeper.n_trials, at least 1, 0
--multirun hydra/sweeper=tune hydra.sweeper.n_trials=few ~ hydra.sweeper.n_trials, few
--multirun hydra/sweeper=tune hydra.sweeper.n_jobs=0 ~ hydra.sweeper.n_jobs, at least 1, 0
--multirun hydra/sweeper=tune hydra.sweeper.sampler_seed=-1 ~ hydra.sweeper.sampler_seed, at least 0, -1
--multirun hydra/sweeper=tune hydra.sweeper.seeds=nope ~ seed, nope
--multirun hydra/sweeper=tune hydra.sweeper.seeds=0 ~ hydra.sweeper.seeds, reported, 0
--multirun hydra/sweeper=tune hydra.sweeper.space={lr:1} ~ hydra.sweeper.space.lr, {lr:1}
--multirun hydra/sweeper=tune +hydra.sweeper.space={lr:1} ~ hydra.sweeper.space, optimizer.lr, lr
--multirun hydra/sweeper=tune hydra.sweeper.space={optimizer.lr:'fast,slow'} ~ optimizer.lr, above 0, fast
--multirun hydra/sweeper=tune hydra.sweeper.space={optimizer.lr:'interval(-1,1)'} ~ optimizer.lr, above 0, -1
--multirun hydra/sweeper=tune +hydra.sweeper.space={optimizer.nope:'0.1,0.2'} ~ optimizer.nope
--multirun hydra/sweeper=tune hydra.sweeper.space={optimizer.lr:fast} ~ hydra.sweeper.space, optimizer.lr, fast
"""


NORMED = "tests.models.test_custom.Normed"  # a network with BatchNorm
CSV = "data=csv data.path=$TABLE data.target=y data.missing=drop"
SHOWN = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}  # as messages write what is typed


def alternatives(line):
    """Return a line for each of the values a|b of its last setting, all of which its answer has to name."""
    typed, _, expected = line.replace("$CSV", CSV).replace("$NORMED", NORMED).rpartition(" ~ ")
    start, _, values = typed.rpartition("=")
    if "|" not in values:
        return [f"{typed} ~ {expected}"]
    shown = {value: SHOWN.get(value, value).replace(",", ", ") for value in values.split("|")}
    return [f"{start}={value} ~ {expected}, {text}" for value, text in shown.items()]


def split(line):
    """Return the words of a line, as a shell would hand them on, and what its answer has to name."""
    typed, _, expected = line.rpartition(" ~ ")
    words = [typed] if typed.count("=") == 1 and not typed.startswith("-") else typed.split(" ")
    return [word.replace("\\n", "\n") for word in words], expected.split(", ")


EACH = [each for line in LINES.strip().splitlines() for each in alternatives(line)]
CASES = [pytest.param(line, marks=() if n % 15 == 0 else pytest.mark.integration) for n, line in enumerate(EACH)]


@pytest.mark.parametrize("line", CASES)
def test_a_bad_command_line_is_one_clear_line_and_writes_nothing(line, tmp_path, train, count):
    table = tmp_path / "table.csv"
    table.write_text("x,y\n0.5,a\n1.5,b\n,a\n" + "1,b\n2,a\n" * 9)
    before = files(tmp_path)
    words, expected = split(line)
    error = train(*(word.replace("$TABLE", str(table)) for word in words), code={1, 2}).err
    first = error.splitlines()[0]
    assert first.startswith("Expected `")
    for word in expected:
        assert word in first
    assert error.rstrip("\n").count("\n") < 3
    assert "Traceback" not in error
    assert files(tmp_path) == before
    count("bad command lines, each answered in a line or two")


EVALUATE = {
    "outputs": "NAME=VALUE",
    "run=": "a path",
    "run=nowhere": "nowhere is not the folder of a finished run",
    "run=a run=b": "given once",
    "ruin=x": "one of run, samples, out",
    "run=. samples=in.csv": "given together",
    "run=. samples=in.csv out=": "a path",
    "run=/dev/null": "/dev/null",
    "run=. allow_targets=": "a path",
    "--nonsense": "NAME=VALUE",
    "run=größe": "größe is not the folder",
}
AGGREGATE = {
    "": "required: STUDY",
    "nowhere": "nowhere is not a folder",
    "/dev/null": "/dev/null is not a folder",
    ". ": "holds no completed run",
    ". --alpha 0": "(0, 0.5], got '0'",
    ". --alpha nan": "(0, 0.5], got 'nan'",
    ". --alpha 0.6": "(0, 0.5], got '0.6'",
    ". --margin 0": "(0, inf), got '0'",
    ". --margin much": "(0, inf), got 'much'",
    ". --baseline": "expected one argument",
    ". --out /dev/null": "/dev/null is not a folder",
    "--nonsense .": "--nonsense",
    ". größe": "größe is not a folder",
}
BENCHMARK = {
    "--rounds 0": "a whole number of at least 1, got '0'",
    "--rounds -3": "-3",
    "--rounds many": "got 'many'",
    "--rounds 1e9": "got '1e9'",
    "--rounds nan": "got 'nan'",
    "--sizes 0": "got '0'",
    "--sizes": "expected at least one argument",
    "--parts nonsense": "nonsense",
    "--backends größe": "größe",
    "--json /nowhere/x.json": "a file that can be written, got '/nowhere/x.json'",
    "--json .": "a file that can be written, got '.'",
    "--plot x.exe": "x.exe",
    "--accelerator tpu": "tpu",
    "--nonsense": "--nonsense",
}
PLAN = {
    "": "required: SETTINGS",
    "sed=1": 'Expected `sed` to be a setting or group that --help lists, got "1". Did you mean seed?',
    "loss=nope": "Expected `loss` to be one of bce",
    "loss": "NAME=VALUE",
    "loss='ce": "quotes that close",
    "classes=2,1": "Expected `classes` to be a whole number from 2 to 1000, got 1",
    "classes=${nope}": "nope",
    "seed=0,0": "Expected `seed` to be a whole number from 0 to 2^63 - 1, or a list of one or more different",
    "seed=range(2.5)": "Expected `seed`",
    "optimizer.lr=nan": "Expected `optimizer.lr` to be a number above 0",
    "study=../x": "Expected `study`",
    "loss._target_=os.system": "Expected `loss._target_`",
    "+hydra.callbacks.x._target_=os.system": "Expected `hydra.callbacks.x._target_`",
    "hydra.sweeper._target_=os.system": "Expected `hydra.sweeper._target_`",
    "hydra/sweeper=basic": "Expected `hydra/sweeper` to be stack, got basic",
    "hydra.sweeper.stack_size=0": "Expected `hydra.sweeper.stack_size` to be an integer of at least 1, got 0",
    "hydra.launcher.workers=0": "Expected `hydra.launcher.workers` to be null or an integer of at least 1, got 0",
    "loss=ce --workers 0": "expected a whole number of at least 1, got '0'",
    "loss=ce --workers many": "got 'many'",
    "loss=ce --nonsense": "--nonsense",
}
WORKED_EXAMPLES = {
    "--out": "expected one argument",
    "--out /dev/null": "expected a folder that can be written (File exists), got /dev/null",
    "--out /proc/x": "expected a folder that can be written (No such file or directory), got /proc/x",
    "--nonsense": "--nonsense",
    "outputs": "unrecognized arguments: outputs",
}
OTHERS = [
    *((src.evaluate.main, line, words) for line, words in EVALUATE.items()),
    *((scripts.aggregate.main, line, words) for line, words in AGGREGATE.items()),
    *((scripts.benchmark.__main__.main, line, words) for line, words in BENCHMARK.items()),
    *((scripts.plan.__main__.main, line, words) for line, words in PLAN.items()),
    *((scripts.worked_examples.__main__.main, line, words) for line, words in WORKED_EXAMPLES.items()),
]


@pytest.mark.usefixtures("hydra_restore_singletons")
@parametrize("main, line, words", OTHERS[::3] + OTHERS[1::3] + OTHERS[2::3], quick=len(OTHERS) // 3)
def test_the_other_commands_answer_in_a_line_too(main, line, words, tmp_path, monkeypatch, capsys, count):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["command"])
    monkeypatch.setattr(scripts.plan.__main__, "_start_up", lambda: 0.0)
    try:
        code = main(line.split()) if line else main([])
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code in (1, 2)
    assert words in error.splitlines()[0]
    assert error.count("\n") <= 3
    assert not files(tmp_path)
    count("bad command lines, each answered in a line or two")


def settings_of(groups):
    """Return the dotted names of all settings in the files of some groups, and of those in the root."""
    root = dict(OmegaConf.load(CONFIG_DIR / "train.yaml"))
    names = {name for name in dotted(root) if name not in ("defaults", "seeds")}
    for group in groups:
        for path in (CONFIG_DIR / group).glob("*.yaml"):
            content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
            inner = content.get(group, content) if "@package _global_" in path.read_text() else content
            names |= {f"{'data' if group == 'split' else group.replace('/', '.')}.{name}" for name in dotted(inner)}
    return {name for name in names if not name.endswith(("defaults", "_convert_"))}


def dotted(value):
    """Return the dotted names of the leaves of a mapping; ``{}`` and lists are leaves."""
    leaves = [(str(name), inner) for name, inner in value.items()]
    return {
        f"{name}.{below}" if below else name
        for name, inner in leaves
        for below in (dotted(inner) if hasattr(inner, "items") and inner else [""])
    }


def test_every_setting_of_every_group_is_in_the_table():
    typed = {word.partition("=")[0].lstrip("+~") for line in EACH for word in split(line)[0]}
    asked = settings_of(
        ["data", "split", "model", "loss", "optimizer", "scheduler", "trainer", "callbacks", "paths", "export"]
    )
    assert len(asked) > 60
    assert asked - typed == set()
