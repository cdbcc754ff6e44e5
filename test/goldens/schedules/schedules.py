"""Multipliers of transformers' schedules: python schedules.py > schedules.json"""
import json
import torch, transformers
from transformers import get_scheduler
cases=[]
def case(name, total, warmup, specific=None, lr=1.0):
    p=torch.nn.Parameter(torch.zeros(1)); opt=torch.optim.SGD([p], lr=lr)
    s=get_scheduler(name, opt, num_warmup_steps=warmup, num_training_steps=total, scheduler_specific_kwargs=specific)
    values=[]
    for _ in range(total+1):
        values.append(s.get_last_lr()[0]/lr); opt.step(); s.step()
    return values
for name, ours, specific, opts in [
    ("constant_with_warmup","constant",None,{}),("linear","linear",None,{}),("cosine","cosine",None,{}),("cosine","cosine",{"num_cycles":1.5},{"cycles":1.5}),
    ("cosine_with_restarts","cosine_with_restarts",None,{}),("cosine_with_restarts","cosine_with_restarts",{"num_cycles":3},{"cycles":3}),
    ("polynomial","polynomial",None,{}),("polynomial","polynomial",{"power":2.0,"lr_end":0.1},{"power":2,"end":0.1}),("inverse_sqrt","inverse_sqrt",None,{})]:
    for total, warmup in [(13,0),(13,3),(1,0),(7,6)]:
        cases.append({"name":ours,"total":total,"warmup":warmup,**opts,"values":case(name,total,warmup,specific)})
print(json.dumps({"transformers":transformers.__version__,"cases":cases},separators=(",",":")))
